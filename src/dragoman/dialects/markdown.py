"""Code in Markdown: whether the text so far ends inside a code fence or a code span."""

import re

FENCE = "```"
JSON_FENCES = ("```json", FENCE)
"""The fences in which models write JSON."""

MAX_LINE = 256
"""Characters at the beginning of a line that are examined."""

_FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|[0-9]+[.)])[ \t]+)?(`{3,}|~{3,})([^`]*)")
_CLOSING = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t]*")
_FENCE_TICKS = 3


class CodeTracker:
    """Tracks code fences and code spans in text that arrives in chunks; it reads lazily, in time linear in the text."""

    __slots__ = ("_fence", "_line", "_ticks", "_unread", "write")

    def __init__(self) -> None:
        self._fence = ""
        self._line = ""
        self._ticks = 0
        self._unread: list[str] = []
        self.write = self._unread.append
        """Adds the next chunk of the text."""

    @property
    def fence(self) -> str:
        """The characters of the open fence, or ""; a fence on an unfinished line does not count."""
        self._read()
        return self._fence

    @property
    def line(self) -> str:
        """The beginning of the current line."""
        self._read()
        return self._line

    @property
    def in_fence(self) -> bool:
        """Whether a fence is open, one on the current line included."""
        return bool(self.fence) or _FENCE.fullmatch(self.line) is not None

    @property
    def in_span(self) -> bool:
        """Whether a code span is open on the current line."""
        self._read()
        return self._ticks % 2 == 1 and self._ticks != _FENCE_TICKS

    def _read(self) -> None:
        if not self._unread:
            return
        text = "".join(self._unread)
        self._unread.clear()
        if "\n" in text:
            first, *between, text = text.split("\n")
            self._extend(first)
            self._end_line()
            for line in between:
                self._line = line[:MAX_LINE]
                self._end_line()
        self._extend(text)

    def _extend(self, text: str) -> None:
        if len(self._line) < MAX_LINE:
            self._line = (self._line + text)[:MAX_LINE]
        if "`" in text:
            self._ticks += text.count("`")

    def _end_line(self) -> None:
        if self._fence:
            closing = _CLOSING.fullmatch(self._line)
            if closing and closing[1].startswith(self._fence):
                self._fence = ""
        elif opening := _FENCE.fullmatch(self._line):
            self._fence = opening[1]
        self._line, self._ticks = "", 0
