"""Reads an output with a parser, and merges the parts for comparison."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dragoman.dialects import Dialect
from dragoman.parts import CallDelta, CallEnd, CallStart, Part, Text, Thinking, ThinkingEnd


@dataclass
class Reading:
    """The parts of an output, with adjacent ones of a kind merged, and the repairs."""

    parts: list[dict[str, Any]] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)


def read(dialect: Dialect, chunks: Sequence[str], tools: Iterable[str], *, cut: bool = False, **start: bool) -> Reading:
    """Feed the chunks to a new parser; the parts have to nest correctly. `tools` are names, or names with their schemas."""
    schemas = tools if isinstance(tools, Mapping) else {name: {"type": "object"} for name in tools}
    parser = dialect.parser(schemas, **{"thinking_open": False, **start})
    parts = [part for chunk in chunks for part in parser.feed(chunk)]
    return Reading(merge([*parts, *parser.finish(cut)]), parser.repairs)


def merge(parts: Iterable[Part]) -> list[dict[str, Any]]:
    """Adjacent parts of a kind merged into one; raises if the parts do not nest."""
    merged: list[dict[str, Any]] = []
    open_part = ""
    for part in parts:
        match part:
            case Thinking(text) | Text(text):
                kind = "thinking" if isinstance(part, Thinking) else "text"
                assert text
                assert open_part in ("", kind), f"{kind} inside {open_part}"
                if merged and kind in merged[-1] and (open_part or kind == "text"):
                    merged[-1][kind] += text
                else:
                    merged.append({kind: text})
                open_part = "thinking" if kind == "thinking" else ""
            case ThinkingEnd():
                assert open_part == "thinking"
                open_part = ""
            case CallStart(name):
                assert open_part == "", f"a call inside {open_part}"
                merged.append({"call": name, "arguments": "", "complete": None})
                open_part = "call"
            case CallDelta(json):
                assert open_part == "call"
                merged[-1]["arguments"] += json
            case CallEnd(complete):
                assert open_part == "call"
                merged[-1]["complete"] = complete
                open_part = ""
            case _:
                raise AssertionError(part)
    assert open_part == ""
    return merged
