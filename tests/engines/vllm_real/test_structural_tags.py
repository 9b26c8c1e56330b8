"""Structural tags allow the same texts as the grammars for llama.cpp, as xgrammar and llguidance read them.

Every dialect, every kind of request, texts that the encoder writes and others. The differences between the two are listed.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import llguidance
import pytest

from dialects.test_constraint import CALLS, TREE, WEATHER, asked, matcher
from dragoman import dialects
from dragoman.constraints.structural_tag import structural_tag
from dragoman.constraints.tree import Constraint
from dragoman.dialects import Constrainer, Dialect

from .installed import vllm

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(600)]

MORE = "\nThere."
"""Text after a call that begins like another call. llguidance, whose lexer decides there, refuses it; xgrammar does not."""


class Case(NamedTuple):
    """A constraint and texts that it should accept or refuse."""

    dialect: str
    kind: str
    held: Constraint
    texts: Sequence[str]


def cases() -> Iterator[Case]:
    for name, dialect in sorted(dialects.BY_NAME.items()):
        for kind, policy in {
            "any": asked("any"),
            "tool": asked("tool", name="now"),
            "auto": asked("auto"),
            "one": asked("auto", parallel=False),
            "strict": asked("auto", strict=True),
            "none": asked("none"),
            "tree": asked("any", WEATHER, TREE),
            "thinking": asked("any", thinking=True),
        }.items():
            for inside in (False, True):
                held = Constrainer(dialect).constraint(policy, thinking_open=inside)
                if held is not None:
                    yield Case(name, kind + " inside" * inside, held, [*texts(dialect)])


def texts(dialect: Dialect) -> Iterator[str]:
    """Calls as the encoder writes them, with and without text around them, and broken ones."""
    closer = dialect.reasoning.closes[0] if dialect.reasoning and dialect.reasoning.closes else "</think>"
    opener = dialect.reasoning.opens[0] if dialect.reasoning and dialect.reasoning.opens else "<think>"
    gap = dialect.close_thinking.partition(closer)[2]
    gap = gap[: len(gap) - len(gap.lstrip())]
    framed = dialect.frame.text + dialect.frame.header_end if dialect.frame else ""
    yield ""
    yield f"{framed}It is not <b>certain</b> {{yet}}.\n"
    yield f"Hm.{closer}{gap}Well."
    for calls in (CALLS, CALLS[:1], CALLS[1:]):
        written = dialect.encode_calls(calls)
        yield from (written, f"I look.\n{written}", written + MORE, written[:-1])
        yield written.replace("get_weather", "rm_rf")
        yield written.replace("3", "300")
        yield written.replace("place", "plaice")
        yield from (f"Hm, {{what}}?{closer}{gap}{written}", f"{opener}Hm.{closer}{gap}{written}")


def accepts(reader: llguidance.LLMatcher, text: str) -> bool:
    """Whether llguidance accepts the text."""
    written = list(text.encode())
    return bool(reader.try_consume_tokens(written) == len(written) and reader.is_accepting())


def xgrammar_accepts(tags: Sequence[tuple[Any, Sequence[str]]]) -> list[Any]:
    """Whether xgrammar accepts the texts: for each tag a list, or the reason why it does not compile."""
    lines = "\n".join(json.dumps(tag) for tag in tags)
    command = [str(vllm() / "python"), str(Path(__file__).with_name("xgrammar_check.py"))]
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.clause("TOOL-5", "TOOL-11", "STR-3")
def test_xgrammar_accepts_what_llguidance_accepts() -> None:
    every = list(cases())
    found = xgrammar_accepts([(structural_tag(case.held, {}), case.texts) for case in every])
    differ: list[tuple[str, str, Any]] = []
    for case, accepted in zip(every, found, strict=True):
        if isinstance(accepted, str):
            differ.append((case.dialect, case.kind, accepted))
            continue
        reference = matcher(case.held)
        for text, allowed in zip(case.texts, accepted, strict=True):
            if allowed != accepts(reference.deep_copy(), text) and not (allowed and text.endswith(MORE)):
                differ.append((case.dialect, case.kind, (text, allowed)))
    assert differ == []
