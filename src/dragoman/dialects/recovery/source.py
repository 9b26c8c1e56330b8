"""Text that a call is looked for in, and the two ways in which looking ends without one."""

import re

_SPACE = re.compile(r"\s*")


class Incomplete(Exception):
    """The text ends before it can be told what stands here; more may come."""


class NoCall(Exception):
    """What stands at `pos` cannot be part of a call."""

    def __init__(self, pos: int) -> None:
        super().__init__(pos)
        self.pos = pos


class Source:
    """A text. `final`: no more comes, so that nothing in it is incomplete. `cut`: for a limit has ended it.

    Every method raises `Incomplete` where what more text brings could change its answer, so that an answer is the same however
    the text was cut into pieces.
    """

    __slots__ = ("cut", "final", "text")

    def __init__(self, text: str, *, final: bool, cut: bool = False) -> None:
        self.text = text
        self.final = final
        self.cut = cut

    def skip_space(self, pos: int) -> int:
        """The first place at or after `pos` that is not space: the text's length where it ends before."""
        found = _SPACE.match(self.text, pos)
        end = found.end() if found else pos
        if end == len(self.text):
            self.expect_more()
        return end

    def expect_more(self) -> None:
        """The text ends here. Raises `Incomplete` unless it is final."""
        if not self.final:
            raise Incomplete

    def at_end(self, pos: int) -> bool:
        """Does the final text end at `pos`?"""
        if pos < len(self.text):
            return False
        self.expect_more()
        return True

    def lacks_closer(self, pos: int) -> bool:
        """Does the text end at `pos`, where closers are missing? Raises `NoCall` where a limit has cut it: more was to come."""
        if self.at_end(pos) and self.cut:
            raise NoCall(pos)
        return pos >= len(self.text)

    def literal(self, pos: int, *options: str) -> str:
        """The longest of these that stands at `pos`; "" for none."""
        rest = len(self.text) - pos
        for option in sorted(options, key=len, reverse=True):
            if self.text.startswith(option, pos):
                return option
            if rest < len(option) and option.startswith(self.text[pos:]):
                self.expect_more()
        return ""

    def match(self, pattern: re.Pattern[str], pos: int) -> re.Match[str] | None:
        """A match at `pos` of a pattern that matches a run of characters, of which more may come."""
        found = pattern.match(self.text, pos)
        if (found.end() if found else pos) == len(self.text):
            self.expect_more()
        return found
