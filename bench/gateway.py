"""The cost of Dragoman itself: on one core with engines that never wait, and at rest."""

import json
import os
from statistics import median
from typing import Any

from bench.client import asking, connect, deltas_per_second, post
from bench.processes import (
    ALL_CORES,
    OTHER_CORES,
    SERVER_CORE,
    dragoman,
    fake_upstream,
    nonce,
    resident_megabytes,
    scripted,
    seconds_to_listen,
)
from bench.report import Row
from bench.rivals import Side, load

STREAMS = 32
CHUNKS = 4000
PACED = {1: (10.0, 300, "<= 0.2"), 8: (20.0, 150, "<= 0.08")}
"""By the number of streams: milliseconds of a step of the engine, tokens of each stream, and the target."""


async def measure(runs: int) -> list[Row]:
    """Measure every figure; values are medians of `runs`."""
    os.sched_setaffinity(0, OTHER_CORES)
    rows = []
    with scripted([{"output": "".join(f"{number:04x}" for number in range(CHUNKS))}], cores=SERVER_CORE) as (url, pid):
        rate = median([await deltas_per_second(url, STREAMS) for _ in range(runs)])
        rows.append(Row(f"scripted engine, {STREAMS} streams, one core", f"{rate:,.0f}", "", "deltas/s", ">= 60,000"))
    with scripted([{"output": "Hello."}], cores=SERVER_CORE) as (url, pid):
        rows.append(Row("memory at rest, without the model", f"{resident_megabytes(pid):.0f}", "", "MB", "<= 120"))
        async with connect(url) as session:
            took = [(await post(session, "/v1/messages", json.dumps(asking("Go.", 50_000)).encode()))[0] for _ in range(200)]
        rows.append(Row("a whole request, scripted engine", f"{median(took) * 1000:.2f}", "", "ms", ""))
    with (
        fake_upstream(CHUNKS, OTHER_CORES) as upstream,
        dragoman("--engine", "llama-server", "--engine-url", upstream, cores=SERVER_CORE) as (url, _),
    ):
        rate = median([await deltas_per_second(url, STREAMS) for _ in range(runs)])
        rows.append(Row("llama-server adapter, upstream that never waits", f"{rate:,.0f}", "", "deltas/s", ">= 25,000"))
    os.sched_setaffinity(0, SERVER_CORE | OTHER_CORES)
    rows.extend([await _per_token(streams, runs) for streams in PACED])
    listening = median([seconds_to_listen() for _ in range(runs)])
    rows.append(Row("from exec to listening, without the model", f"{listening:.2f}", "", "s", "<= 1.5"))
    rows.extend(await _counting(runs))
    return rows


async def _per_token(streams: int, runs: int) -> Row:
    """Measure the CPU time per token over an engine that makes one token per stream in each step."""
    step, tokens, target = PACED[streams]
    with (
        fake_upstream(tokens, ALL_CORES, step) as upstream,
        dragoman("--engine", "llama-server", "--engine-url", upstream) as (url, pid),
    ):
        side = Side(url, {"CPU": [pid]})
        spent = median(
            [(await load(side, streams, 50_000))[f"CPU, {streams} stream{'s' * (streams > 1)}"] for _ in range(runs)]
        )
    name = f"CPU per token, {streams} stream{'s' * (streams > 1)}, a step of {step:.0f} ms"
    return Row(name, f"{spent:.3f}", "", "ms", target)


async def _counting(runs: int) -> list[Row]:
    """Measure `count_tokens` of an agent's request, over the embedded engine with the default model."""
    first, again = [], []
    with dragoman("--context-length", "8192") as (url, _):
        async with connect(url) as session:
            await post(session, "/v1/messages/count_tokens", _agent_request())
            for _ in range(runs):
                body = _agent_request()
                first.append((await post(session, "/v1/messages/count_tokens", body))[0])
                again.append(median([(await post(session, "/v1/messages/count_tokens", body))[0] for _ in range(5)]))
    return [
        Row("count_tokens, 75 KB agent request, first", f"{median(first) * 1000:.1f}", "", "ms", "<= 40"),
        Row("count_tokens, 75 KB agent request, repeated", f"{median(again) * 1000:.1f}", "", "ms", "<= 3"),
    ]


def _agent_request() -> bytes:
    """A new request of about 75 KB: a system prompt, 20 tools with schemas, a dozen messages with calls and results."""
    mark = nonce()
    prose = "Read the file before you change it, keep the change small, and run the tests when you are done. "
    tools = [
        {
            "name": f"tool_{mark}_{n}",
            "description": f"{mark} {prose * 12}",
            "input_schema": {
                "type": "object",
                "properties": {f"field_{k}": {"type": "string", "description": f"{prose}{prose} {mark} {k}"} for k in range(6)},
                "required": ["field_0"],
            },
        }
        for n in range(20)
    ]
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"{mark} Mend the parser. {prose}"}]
    for n in range(6):
        call = {"type": "tool_use", "id": f"toolu_{n}", "name": f"tool_{mark}_1", "input": {"field_0": f"src/{mark}/{n}.py"}}
        result = "\n".join(f"{line:4d}\tdef function_{mark}_{line}(argument: int) -> str:" for line in range(22))
        messages += [
            {"role": "assistant", "content": [{"type": "text", "text": f"Looking at part {n}."}, call]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": result}]},
        ]
    return json.dumps(
        {"model": "claude-bench", "system": f"{mark} {prose * 40}", "tools": tools, "messages": messages}
    ).encode()
