"""The fields of F2, and the way to write one argument between its tags."""

import re
from dataclasses import dataclass
from typing import Any

from dragoman.dialects.values.json_text import dumps, json_type

_MARKUP = re.compile(r"[<&\n]")


@dataclass(frozen=True, slots=True)
class TagNotation:
    """The tags around the name and the value of an argument. Nothing in a value is escaped.

    A string is written as it is, any other value as JSON. When read, a value has the type that its tag or the tool's schema
    says.
    """

    open: str
    """Begins the tag that holds the argument's name, as `<parameter=` or `<arg_key>`."""
    end: str
    """Ends that tag, as `>` or `</arg_key>`."""
    close: str
    """Ends the value, as `</parameter>` or `</arg_value>`."""
    attribute: str = ""
    """The attribute that holds the name, as in `<parameter name="a">`; "": the tag holds only the name."""
    value_open: str = ""
    """A second tag, before the value: `<arg_value>` in `<arg_key>a</arg_key><arg_value>1</arg_value>`."""
    type_attribute: str = ""
    """The attribute that holds the type: `string`, which is "true" or "false" (not a string), or another one with a JSON
    type."""
    newline: bool = False
    """Whether one newline after the tag and one before `close` are markup; else every byte between them is the value."""
    between: str = "\n"
    """Written before, between and after the arguments."""
    quotes: tuple[str, str] = ("", "")
    """Optional quotes around a value, as `<![CDATA[` and `]]>`; written if the value has markup or newlines."""

    def written(self, key: str, value: Any) -> str:
        """One argument."""
        text = value if isinstance(value, str) else dumps(value)
        if self.quotes[0] and _MARKUP.search(text):
            text = text.join(self.quotes)
        return self.around(key, text, json_type(value))

    def around(self, key: str, text: str, kind: str) -> str:
        """One argument whose value, of that JSON type, is written already."""
        name = f'{self.attribute}="{key}"' if self.attribute else key
        if self.type_attribute == "string":
            name += f' string="{"true" if kind == "string" else "false"}"'
        elif self.type_attribute:
            name += f' {self.type_attribute}="{kind}"'
        tag = self.open + name + self.end
        if self.value_open:
            tag += self.between + self.value_open
        newline = "\n" if self.newline else ""
        return tag + newline + text + newline + self.close
