"""The cost of a constraint: compiling it, and decoding with it."""

import json
import time
from contextlib import aclosing
from dataclasses import replace
from statistics import median
from typing import Any

from bench.report import Row
from dragoman import dialects
from dragoman.constraints.lark import compiled, literals
from dragoman.constraints.tree import Constraint
from dragoman.conversation import AnswerPolicy, Sampling, Tool, ToolChoice, ToolPolicy
from dragoman.dialects import Constrainer
from dragoman.engines import Engine, EngineRequest
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.models.resolve import resolve

TOKENS = 128
AGENT_TOOLS, MANY_TOOLS = 25, 300
PROMPT = "<|im_start|>user\nWrite a long story about a lighthouse and a storm.<|im_end|>\n<|im_start|>assistant\n"


def _tool(number: int) -> Tool:
    """A tool of about 900 bytes with patterns, large bounds, references, recursion and unions."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "The absolute path of the file to work on. " * 3},
            "name": {"type": "string", "pattern": "^[a-z]{2,8}-[0-9]+$"},
            "size": {"type": "integer", "minimum": 0, "maximum": 10**15},
            "tree": {"$ref": "#/$defs/Node"},
            "note": {"anyOf": [{"type": "string", "maxLength": 5000}, {"type": "null"}]},
            "rows": {"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 1000},
            f"only_{number}": {"type": "boolean"},
        },
        "required": ["path"],
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"value": {"type": "number"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
                "required": ["value"],
            }
        },
    }
    return Tool(f"tool_{number}", "Works on a file.", schema)


def _policy(tools: int, choice: ToolChoice) -> AnswerPolicy:
    return AnswerPolicy(tools=tuple(map(_tool, range(tools))), tool_policy=ToolPolicy(choice))


def _constraint(name: str, policy: AnswerPolicy) -> Constraint:
    constraint = Constrainer(dialects.get(name)).constraint(policy, thinking_open=False)
    assert constraint is not None
    return constraint


def _compiling(name: str) -> tuple[float, float]:
    """Seconds to build and compile the constraint of 300 new tools, and of the same tools again."""
    fresh = f"{time.perf_counter_ns():x}"
    policy = _policy(MANY_TOOLS, ToolChoice.ANY)
    tools = [replace(tool, schema={**tool.schema, "$comment": fresh, "minProperties": 1}) for tool in policy.tools]
    policy = replace(policy, tools=tuple(tools))
    constrainer = Constrainer(dialects.get(name))
    spent: list[float] = []
    for _ in range(2):
        began = time.perf_counter()
        constraint = constrainer.constraint(policy, thinking_open=False)
        assert constraint is not None
        if not spent:
            literals(constraint)
            compiled(constraint, {})
        spent.append(time.perf_counter() - began)
    return spent[0], spent[1]


async def _decoding(engine: Engine, constraint: Constraint | None) -> tuple[float, float]:
    """Seconds to the first token, and tokens per second after it."""
    request = EngineRequest(await engine.tokenize(PROMPT), TOKENS, Sampling(temperature=0), constraint)
    began = time.perf_counter()
    first, tokens = 0.0, 0
    async with aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            if chunk.text and not first:
                first, tokens = time.perf_counter(), 0
            tokens += chunk.output
    return first - began, tokens / (time.perf_counter() - first)


async def measure(runs: int) -> list[Row]:
    """Compile constraints, and decode with and without one in pairs, on the default model."""
    size = len(json.dumps([tool.function for tool in _policy(MANY_TOOLS, ToolChoice.ANY).tools]))
    rows = []
    for name in ("qwen3", "qwen3-coder"):
        firsts, agains = zip(*(_compiling(name) for _ in range(runs)), strict=True)
        what = f"constraint, {MANY_TOOLS} tools of {size // 1000} KB, {name}"
        rows.append(Row(f"{what}, first", f"{median(firsts) * 1000:.0f}", "", "ms", "<= 1000"))
        rows.append(Row(f"{what}, again", f"{median(agains) * 1000:.1f}", "", "ms", ""))
    engine = EmbeddedLlama(resolve(None).path, context=2048, parallel=1)
    await engine.start()
    try:
        for choice in (ToolChoice.AUTO, ToolChoice.ANY):
            rows += await _compared(engine, choice, runs)
    finally:
        await engine.close()
    return rows


async def _compared(engine: Engine, choice: ToolChoice, runs: int) -> list[Row]:
    """Decode with and without a constraint in pairs."""
    constraint = _constraint("qwen3", _policy(AGENT_TOOLS, choice))
    await _decoding(engine, constraint)
    pairs = [(await _decoding(engine, constraint), await _decoding(engine, None)) for _ in range(runs)]
    with_constraint, without = median(pair[0][1] for pair in pairs), median(pair[1][1] for pair in pairs)
    ratio = median(pair[0][1] / pair[1][1] for pair in pairs)
    waits = median(pair[0][0] for pair in pairs), median(pair[1][0] for pair in pairs)
    later = median(pair[0][0] - pair[1][0] for pair in pairs)
    what = f"{AGENT_TOOLS} tools, `{choice.value}`: with and without a constraint"
    target = ">= 0.97" if choice is ToolChoice.AUTO else ""
    speed = Row(f"decode, {what}", f"{with_constraint:.1f}", f"{without:.1f} (without)", "tok/s", target, ratio)
    began, began_without = (f"{wait * 1000:.1f}" for wait in waits)
    first = Row(f"first token, {what}", began, f"{began_without} (without)", "ms", "", later, difference=True)
    return [speed, first]
