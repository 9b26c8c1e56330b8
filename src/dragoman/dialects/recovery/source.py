"""Text in which a call is searched, and the two exceptions that end the search without one."""

import re

_SPACE = re.compile(r"\s*")


class Incomplete(Exception):
    """The text ends too early for a decision, and more may come."""


class NoCall(Exception):
    """The text at `pos` cannot be part of a call."""

    def __init__(self, pos: int) -> None:
        super().__init__(pos)
        self.pos = pos


class Source:
    """A text. `final`: no more comes, so that nothing in it is incomplete. `cut`: because a limit has ended it.

    Every method raises `Incomplete` if more text could change its result, so that results do not depend on the chunks in which
    the text arrived.
    """

    __slots__ = ("cut", "final", "text")

    def __init__(self, text: str, *, final: bool, cut: bool = False) -> None:
        self.text = text
        self.final = final
        self.cut = cut

    def skip_space(self, pos: int) -> int:
        """The first position at or after `pos` that is not space, or the text's length if there is none."""
        found = _SPACE.match(self.text, pos)
        end = found.end() if found else pos
        if end == len(self.text):
            self.expect_more()
        return end

    def expect_more(self) -> None:
        """Raise `Incomplete` at the end of the text, unless it is final."""
        if not self.final:
            raise Incomplete

    def at_end(self, pos: int) -> bool:
        """Whether the final text ends at `pos`."""
        if pos < len(self.text):
            return False
        self.expect_more()
        return True

    def lacks_closer(self, pos: int) -> bool:
        """Whether the text ends at `pos`, without its closers. Raises `NoCall` if a limit has cut it there."""
        if self.at_end(pos) and self.cut:
            raise NoCall(pos)
        return pos >= len(self.text)

    def literal(self, pos: int, *options: str) -> str:
        """The longest of these strings that is at `pos`; "" for none."""
        rest = len(self.text) - pos
        for option in sorted(options, key=len, reverse=True):
            if self.text.startswith(option, pos):
                return option
            if rest < len(option) and option.startswith(self.text[pos:]):
                self.expect_more()
        return ""

    def match(self, pattern: re.Pattern[str], pos: int) -> re.Match[str] | None:
        """The match at `pos` of a pattern for a sequence of characters, which more text could extend."""
        found = pattern.match(self.text, pos)
        if (found.end() if found else pos) == len(self.text):
            self.expect_more()
        return found
