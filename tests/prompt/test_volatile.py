"""Volatile client metadata: a named rule removes one line of one block, and nothing else."""

from collections.abc import Sequence

import pytest

from dragoman.conversation import Text
from dragoman.prompt.volatile_metadata import strip

LINE = "x-anthropic-billing-header: cc_version=2.1; cch=ab12;"
RULE = "claude-code-attribution"


@pytest.mark.clause("CC-4")
@pytest.mark.parametrize(
    ("system", "kept", "rule"),
    [
        ([LINE, "You help."], ["You help."], RULE),
        ([LINE], [], RULE),
        ([LINE + "\n", "You help."], ["You help."], RULE),
        ([LINE, LINE], [LINE], RULE),
        (["You help.", LINE], ["You help.", LINE], None),
        ([LINE + "\nYou help."], [LINE + "\nYou help."], None),
        ([" " + LINE], [" " + LINE], None),
        (["About x-anthropic-billing-header: it"], ["About x-anthropic-billing-header: it"], None),
        ([], [], None),
    ],
    ids=["first", "alone", "with its line end", "twice", "second", "with more lines", "indented", "quoted", "nothing"],
)
def test_the_attribution_line_is_removed_if_it_is_the_whole_first_block(
    system: Sequence[str], kept: Sequence[str], rule: str | None
) -> None:
    blocks, removed_by = strip([Text(text) for text in system])
    assert ([block.text for block in blocks], removed_by) == (kept, rule)
