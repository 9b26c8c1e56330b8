"""Three turns of an agent, with and without speculative decoding: a file written again, prose, and a held tool call."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from inspect import getsource
from pathlib import Path
from statistics import median
from typing import Any

from bench import report
from bench.client import connect, stream
from bench.processes import children, cpu_seconds, dragoman, llama_server, nonce
from bench.report import Row

CONTEXT = 4096
TOKENS = 160
FILE = 900
"""Characters of the file, about 280 tokens."""
_DEFAULT, _OFF, _OWN = "Dragoman", "--speculate off", "llama.cpp's own"
_ASK = "Write the file again, without any change:\n\n"
_TOOL = {
    "name": "Write",
    "description": "Writes a file.",
    "input_schema": {
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "content": {"type": "string", "minLength": 2000}},
        "required": ["file_path", "content"],
        "additionalProperties": False,
    },
}
Body = dict[str, Any]


def _body(*turns: str, **fields: Any) -> Body:
    messages = [{"role": ("user", "assistant")[number % 2], "content": turn} for number, turn in enumerate(turns)]
    return {"model": "claude-bench", "max_tokens": TOKENS, "temperature": 0, "messages": messages, **fields}


def _rewrite() -> Body:
    """The file was read and written before: so small a model copies nothing else faithfully."""
    file = getsource(report)[:FILE]
    return _body(f"Session {nonce()}. {_ASK}{file}", file, _ASK + file)


def _prose() -> Body:
    return _body(f"{nonce()} Write a long story about a lighthouse, a storm and a cat.")


def _held_call() -> Body:
    text = f"{nonce()} Write a long story about a lighthouse to a file."
    return _body(text, tools=[_TOOL], tool_choice={"type": "tool", "name": "Write"})


_TURNS: dict[str, tuple[Callable[[], Body], str, str]] = {
    "a file written again": (_rewrite, _OWN, ">= 1.3"),
    "prose": (_prose, _OWN, ">= 0.98"),
    "a held tool call": (_held_call, _OFF, ">= 0.98"),
}
"""The turns, whom they are compared with, and the target. llama.cpp's own server does not hold this model to a call."""


class _Server:
    """A server, and the process that computes for it."""

    def __init__(self, url: str, engine: int) -> None:
        self._url = url
        self._engine = engine

    async def decode(self, body: Body) -> tuple[float, float]:
        """Tokens per second after a prompt that is cached, and milliseconds of the engine's CPU time for each."""
        async with connect(self._url) as session:
            await stream(session, {**body, "max_tokens": 1})
            spent, began = cpu_seconds(self._engine), time.perf_counter()
            written = (await stream(session, body)).output_tokens
            took, spent = time.perf_counter() - began, cpu_seconds(self._engine) - spent
        return written / took, spent / written * 1000


async def measure(runs: int) -> list[Row]:
    """Run each turn on each server in turns, with another prompt each time, which is read before; values are medians."""
    with ExitStack() as stack:
        servers: dict[str, _Server] = {}
        for name, options in ((_DEFAULT, ()), (_OFF, ("--speculate", "off"))):
            url, pid = stack.enter_context(dragoman("--context-length", str(CONTEXT), "--parallel", "1", *options))
            servers[name] = _Server(url, next(_engines(pid)))
        others = set(_engines(os.getpid()))
        address = stack.enter_context(llama_server(1, CONTEXT))
        servers[_OWN] = _Server(address, next(pid for pid in _engines(os.getpid()) if pid not in others))
        rows: list[Row] = []
        for turn, (make, rival, target) in _TURNS.items():
            rounds = [await _round(servers, make, run) for run in range(runs)]
            rows += _rows(turn, rival, target, rounds)
        return rows


def _engines(pid: int) -> Iterator[int]:
    """The engine processes that a process has started."""
    for child in children(pid):
        if b"dragoman.engines.llama.child" in Path(f"/proc/{child}/cmdline").read_bytes():
            yield child
        yield from _engines(child)


async def _round(servers: dict[str, _Server], make: Callable[[], Body], run: int) -> dict[str, tuple[float, float]]:
    """One run on each server, in the reverse order every other time."""
    body = make()
    order = list(servers)[:: -1 if run % 2 else 1]
    return {name: await servers[name].decode(body) for name in order}


def _rows(turn: str, rival: str, target: str, rounds: list[dict[str, tuple[float, float]]]) -> list[Row]:
    def row(figure: str, unit: str, value: int, target: str, ours: str = _DEFAULT) -> Row:
        pairs = [(measured[ours][value], measured[rival][value]) for measured in rounds]
        shown, theirs = (f"{median(values):,.1f}" for values in zip(*pairs, strict=True))
        compared = median(our / their for our, their in pairs)
        return Row(figure, shown, theirs, unit, target, compared, rival=rival)

    rows = [row(f"decode, {turn}", "tok/s", 0, target), row(f"CPU of the engine, {turn}", "ms a token", 1, "")]
    return rows if rival == _OFF else [*rows, row(f"decode, {turn}, {_OFF}", "tok/s", 0, "", _OFF)]
