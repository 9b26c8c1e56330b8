"""Removes volatile metadata: text of clients that differs in every conversation and has no meaning for a model.

It would make every prefix different. The list of rules is short, each rule has a name, and the log line of a request says
which rule removed something.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dragoman.conversation import Text


class Rule(NamedTuple):
    """A rule that removes the first system block if it is one line that begins with `prefix`."""

    name: str
    prefix: str


RULES = (Rule("claude-code-attribution", "x-anthropic-billing-header:"),)
"""CC-4: Anthropic's API removes that block itself if it is the unmodified first one."""


def strip(system: Sequence[Text]) -> tuple[Sequence[Text], str | None]:
    """The system blocks without the volatile one, and the name of the rule that removed it."""
    for rule in RULES:
        if system and system[0].text.startswith(rule.prefix) and "\n" not in system[0].text.rstrip("\n"):
            return system[1:], rule.name
    return system, None
