"""What clients put into a prompt that changes from conversation to conversation and says nothing to a model.

Left in, it would make every prefix new. The list is short, each rule has a name, and what a rule removed stands in the
request's log line.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dragoman.conversation import Text


class Rule(NamedTuple):
    """Removes the first system block where it is one line that begins with `prefix`, and no other block anywhere."""

    name: str
    prefix: str


RULES = (Rule("claude-code-attribution", "x-anthropic-billing-header:"),)
"""CC-4: api.anthropic.com takes that block out itself, when it is the untouched first one."""


def strip(system: Sequence[Text]) -> tuple[Sequence[Text], str | None]:
    """The system blocks without the volatile one, and the name of the rule that removed it."""
    for rule in RULES:
        if system and system[0].text.startswith(rule.prefix) and "\n" not in system[0].text.rstrip("\n"):
            return system[1:], rule.name
    return system, None
