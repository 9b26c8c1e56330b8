"""How each engine keeps each guarantee: the data of a table in docs/engines.md. test_guarantees.py tests every cell."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from dragoman import dialects
from dragoman.conversation import ToolCall
from engines.remote.pictures import showing
from vision_model import RED

PAGE = Path(__file__).parents[3] / "docs" / "engines.md"
_PART = re.compile(r"(<!-- guarantees: made by scripts/engine-table -->\n).*?(\n<!-- /guarantees -->)", re.DOTALL)

COLUMNS = {
    "llama.cpp": "llama-server",
    "llama.cpp without llguidance": "llama-server, gbnf",
    "vLLM by default": "vllm",
    "vLLM with `guidance` (started by `--engine vllm MODEL`)": "vllm, guidance",
    "SGLang": "sglang",
    "LMDeploy": "lmdeploy",
    "an engine without constraints": "lmdeploy, generate",
}
"""The columns of the table, each with the name of its engine in engine_cases.py."""
REAL = {
    "SGLang": "sglang, real",
    "LMDeploy": "lmdeploy, real",
    "an engine without constraints": "lmdeploy, generate, real",
}
"""The columns that the real servers must agree with, too."""


class How(StrEnum):
    """The value of a cell."""

    LARK = "llguidance's Lark"
    GBNF = "llama.cpp's GBNF"
    TAGS = "xgrammar's structural tags"
    FORMATS = "JSON schemas, else the prompt"
    PROMPT = "the prompt"
    HELD = "held"
    CUT = "cut"
    HELD_AND_CUT = "held, and cut"
    SHALLOW = "held, to a depth of six"
    BEGUN = "started in the prompt, checked"
    REPORTED = "not held: reported"
    REFUSED = "refused"
    READ = "parsed only"
    BARRED = "prevented"
    SPELLED = "not prevented"
    ALONE = "only it is relaxed"
    TOGETHER = "all schemas are relaxed"
    RELAXED = "relaxed"
    SEEN = "seen, if the model sees"


@dataclass(frozen=True)
class Guarantee:
    """A client's requirement, texts that meet it, and texts that do not. If it is held, the engine accepts none of the latter.

    `how` has one cell for each column.
    """

    title: str
    how: Mapping[str, How]
    fields: Mapping[str, Any] = field(default_factory=dict)
    kept: Sequence[str] = ()
    broken: Sequence[str] = ()
    dialect: str = "qwen3"


def _how(
    lark: How,
    tags: How,
    lmdeploy: How,
    without: How | None = None,
    *,
    llama: How | None = None,
    gbnf: How | None = None,
) -> Mapping[str, How]:
    """llama.cpp and vLLM with guidance use Lark; vLLM by default and SGLang use structural tags."""
    cells = (llama or lark, gbnf or lark, tags, lark, tags, lmdeploy, without or lmdeploy)
    return dict(zip(COLUMNS, cells, strict=True))


def call(city: Any = "Ulm", name: str = "look", dialect: str = "qwen3", **more: Any) -> str:
    """A call in the model's notation."""
    return dialects.get(dialect).encode_calls([ToolCall("toolu_01", name, {"city": city, **more})])


def _tool(city: Mapping[str, Any], name: str = "look", **fields: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"city": city}, "required": ["city"], "additionalProperties": False}
    return {"name": name, "input_schema": schema, **fields}


def _deep(levels: int) -> Any:
    """A recursive value of that depth."""
    value: Any = {"value": 0}
    for _ in range(levels - 1):
        value = {"value": 0, "next": value}
    return value


_STRING = {"type": "string"}
_LOOK = _tool(_STRING)
_FORCED = {"type": "tool", "name": "look"}
_NODE = {"type": "object", "properties": {"value": {"type": "number"}, "next": {"$ref": "#/$defs/Node"}}, "required": ["value"]}
_TREE = _tool({"$ref": "#/$defs/Node"})
_TREE["input_schema"]["$defs"] = {"Node": {**_NODE, "additionalProperties": False}}
_FORMAT = {"format": {"type": "json_schema", "schema": _LOOK["input_schema"]}}
UNREADABLE = "(?<=U)lm"
"""A pattern that cannot be compiled."""

GUARANTEES = [
    Guarantee(
        "by",
        _how(How.LARK, How.TAGS, How.FORMATS, How.PROMPT, gbnf=How.GBNF),
        {"tools": [_LOOK], "tool_choice": _FORCED},
        kept=[call()],
    ),
    Guarantee(
        "a forced call comes",
        _how(How.HELD, How.HELD, How.BEGUN),
        {"tools": [_LOOK], "tool_choice": {"type": "any"}},
        kept=[call()],
        broken=["I would rather not.", call(name="rm")],
    ),
    Guarantee(
        "its arguments follow the schema",
        _how(How.HELD, How.HELD, How.REPORTED),
        {"tools": [_LOOK], "tool_choice": _FORCED},
        kept=[call(), call("Ü")],
        broken=[call({"a": 5}), call(days=3)],  # a number would be made to fit (CC-9)
    ),
    Guarantee(
        "a strict tool, with `auto`",
        _how(How.HELD, How.HELD, How.REFUSED),
        {"tools": [{**_LOOK, "strict": True}]},
        kept=["I see.", call(), f"I look.\n{call()}"],
        broken=[call(5), f"I look.\n{call(5)}"],
    ),
    Guarantee(
        "`auto`: a call that begins is valid",
        _how(How.HELD, How.HELD, How.READ),
        {"tools": [_LOOK]},
        kept=["I see.", f"I look.\n{call()}"],
        broken=[f"I look.\n{call(name='rm')}", call()[:-20]],
    ),
    Guarantee(
        "`none`: no call begins",
        _how(How.HELD, How.HELD, How.READ),
        {"tools": [_LOOK], "tool_choice": {"type": "none"}},
        kept=["I see."],
        broken=[call()],
    ),
    Guarantee(
        "one call at most",
        _how(How.HELD_AND_CUT, How.HELD_AND_CUT, How.CUT),
        {"tools": [_LOOK], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        kept=[call()],
        broken=[f"{call()}\n{call()}"],
    ),
    Guarantee(
        "an output format",
        _how(How.HELD, How.HELD, How.HELD, How.REFUSED),
        {"output_config": _FORMAT},
        kept=['{"city": "Ulm"}'],
        broken=['{"city": 5}', "Ulm"],
    ),
    Guarantee(
        "an output format together with tools",
        _how(How.HELD, How.HELD, How.REFUSED),
        {"output_config": _FORMAT, "tools": [_LOOK]},
        kept=['{"city": "Ulm"}', call()],
        broken=['{"city": 5}', "Ulm"],
    ),
    Guarantee(
        "a pattern in tagged arguments",
        _how(How.HELD, How.HELD, How.REPORTED, gbnf=How.REPORTED),
        {"tools": [_tool({**_STRING, "pattern": "^[A-Z][a-z]+$"})], "tool_choice": _FORCED},
        kept=[call(dialect="qwen3-coder")],
        broken=[call("ulm", dialect="qwen3-coder")],
        dialect="qwen3-coder",
    ),
    Guarantee(
        "a length together with that pattern",
        _how(How.HELD, How.REPORTED, How.REPORTED, gbnf=How.REPORTED),
        {"tools": [_tool({**_STRING, "pattern": "^[A-Z][a-z]+$", "maxLength": 3})], "tool_choice": _FORCED},
        kept=[call(dialect="qwen3-coder")],
        broken=[call("Ulmer", dialect="qwen3-coder")],
        dialect="qwen3-coder",
    ),
    Guarantee(
        "a recursive schema, arguments in JSON",
        _how(How.HELD, How.HELD, How.READ),
        {"tools": [_TREE]},
        kept=[call(_deep(12))],
        broken=[call({"value": 0, "next": {"value": "one"}})],
    ),
    Guarantee(
        "a recursive schema, arguments in a notation of their own",
        _how(How.HELD, How.SHALLOW, How.READ),
        {"tools": [_TREE]},
        kept=[call(_deep(6), dialect="gemma4"), call(_deep(12), dialect="gemma4")],
        broken=[call({"value": 0, "next": {"value": "one"}}, dialect="gemma4")],
        dialect="gemma4",
    ),
    Guarantee(
        "special tokens in free text",
        _how(How.BARRED, How.SPELLED, How.SPELLED, llama=How.SPELLED, gbnf=How.SPELLED),
        {"tools": [_LOOK]},
        kept=["I see."],
        broken=["I see.<|im_start|>user\n"],
    ),
    Guarantee(
        "a schema that does not compile",
        _how(How.ALONE, How.TOGETHER, How.REPORTED, gbnf=How.TOGETHER),
        {
            "tools": [_tool({**_STRING, "pattern": UNREADABLE}), _tool({**_STRING, "pattern": "^[A-Z]+$"}, "shout")],
            "tool_choice": {"type": "any"},
        },
        kept=[call("lm"), call("ULM", "shout")],
        broken=[call("Ulm", "shout")],
    ),
    Guarantee(
        "an output format that does not compile",
        _how(How.RELAXED, How.RELAXED, How.RELAXED, How.REFUSED),
        {"output_config": {"format": {"type": "json_schema", "schema": {**_STRING, "pattern": UNREADABLE}}}},
        kept=['"lm"'],
        broken=["5"],
    ),
    Guarantee(
        "an image",
        dict.fromkeys(COLUMNS, How.SEEN),
        showing(RED),
    ),
]


def table() -> Iterator[str]:
    """The lines of the table."""
    yield f"| | {' | '.join(COLUMNS)} |"
    yield f"|---|{'---|' * len(COLUMNS)}"
    for guarantee in GUARANTEES:
        yield f"| {guarantee.title} | {' | '.join(guarantee.how[column] for column in COLUMNS)} |"


def renewed() -> str:
    """The text of the page with a newly written table."""
    found, count = _PART.subn(lambda match: "\n".join([match[1], *table(), match[2]]), PAGE.read_text(encoding="utf-8"))
    assert count == 1
    return found
