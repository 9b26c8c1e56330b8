"""F3 and F4: arguments as a dict of literals, or as the keyword arguments of a Python call."""

from dragoman.dialects.codecs.arguments import ArgumentReader
from dragoman.dialects.codecs.literal import LiteralValue
from dragoman.dialects.spec import Calls, KeywordArguments, LiteralArguments
from dragoman.json_schema.view import STRING, SchemaView


class LiteralReader(ArgumentReader):
    """Reads a `LiteralValue`, from after the parenthesis of a call or from its own brace on."""

    def __init__(self, calls: Calls, codec: LiteralArguments | KeywordArguments, view: SchemaView, repairs: list[str]) -> None:
        super().__init__()
        quote = codec.quote if isinstance(codec, LiteralArguments) else ""
        self._literal = LiteralValue(repairs, quote, calls, lambda key: view.member(key).kinds == STRING, positions=view.keys)
        self._begun = isinstance(codec, KeywordArguments)
        self.out = self._literal.out
        if self._begun:
            self._literal.open_keywords()

    def read(self, text: str, pos: int, *, final: bool) -> int:
        """Read as `ArgumentReader.read` describes."""
        if not self._begun:
            if text[pos].isspace():
                return pos + 1
            self.stuck = text[pos] != "{"
            if self.stuck:
                return pos
            self._begun = True
            self._literal.open_object()
            pos += 1
        self._literal.final = final
        pos = self._literal.read(text, pos)
        self.done, self.stuck = self._literal.done, self._literal.stuck
        return pos

    @property
    def clean(self) -> bool:
        """Whether only brackets are missing."""
        return not self._begun or self._literal.clean

    @property
    def may_end(self) -> bool:
        """Whether the arguments have not begun: without the closing bracket, the last value may be incomplete."""
        return not self._begun

    def close(self) -> None:
        """End the arguments here, as valid JSON."""
        if not self._begun:
            self._literal.open_object()
        self._literal.close()
