"""Large requests: what they cost, and what they do to a stream of another client.

The engine is the fake one, whose tokenizer costs nothing and is in another process: so the CPU time is that of the gateway and
of its worker processes. The comparison with llama.cpp's own `count_tokens` is over a real engine.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median
from typing import Any, Final

from bench.client import HEADERS, asking, connect, post
from bench.other_client import Request, other_stream
from bench.processes import ALL_CORES, KEY, cpu_seconds, descendants, dragoman, fake_upstream, llama_server, nonce
from bench.report import Row
from bench.rivals import Figure, Figures, Side, contest
from bench.watched import Callback, longest_callback

_STEP: Final = 30.0
"""Milliseconds between two tokens of the other client's stream: each is passed on at once, as it is not with faster ones."""
_TOKENS: Final = 10_000
LONGEST: Final = 0.005
"""The most seconds of CPU time of one callback: the target."""
_PROSE: Final = "Read the file before you change it, keep the change small, and run the tests when you are done. "

_COUNT: Final = "/v1/messages/count_tokens"
_FIRST: Final = "1 MB, real engine, counted for the first time"
_A_TURN_MORE: Final = "the same with a turn more"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a request in seconds: CPU time of the gateway, CPU time of its worker processes, time to the answer."""

    gateway: float
    workers: float
    answer: float

    @property
    def total(self) -> float:
        """The CPU time of all processes."""
        return self.gateway + self.workers


def conversation(size: int, tools: int = 20) -> Json:
    """A request of an agent that no cache knows, with about `size` bytes of calls and results."""
    mark = nonce()
    messages: list[Json] = [{"role": "user", "content": f"{mark} Mend the parser."}]
    written = 0
    while written < size:
        number = len(messages)
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": "tool_0", "input": {"path": f"src/{mark}/{number}.py"}}
        result = "\n".join(f"{line:4d}\tdef function_{number}_{line}(value: list[int]) -> str:" for line in range(60))
        messages += [
            {"role": "assistant", "content": [{"type": "text", "text": f"Looking at part {number}."}, call]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": result}]},
        ]
        written += len(result) + len(json.dumps(call))
    return {**asking("", 16), "system": f"{mark} {_PROSE * 40}", "tools": _tools(tools), "messages": messages}


def _tools(count: int) -> list[Json]:
    properties = {f"field_{number}": {"type": "string", "description": _PROSE} for number in range(6)}
    schema = {"type": "object", "properties": properties, "required": ["field_0"]}
    return [{"name": f"tool_{number}", "description": _PROSE * 3, "input_schema": schema} for number in range(count)]


def _with_turn(request: Json) -> Json:
    turn = [{"role": "assistant", "content": "It is done."}, {"role": "user", "content": f"{nonce()} Go on. {_PROSE}"}]
    return {**request, "messages": [*request["messages"], *turn]}


KINDS: Final[dict[str, Callable[[], Json]]] = {
    "75 KB": lambda: conversation(40_000),
    "1 MB": lambda: conversation(1_000_000),
    "4 MB": lambda: conversation(4_000_000),
    "2,000 tools": lambda: conversation(1_000, 2_000),
}


async def measure(runs: int) -> list[Row]:
    """Count requests of each kind, for the first time, again and with a turn more. Values are medians of `runs`."""
    rows = []
    for name, make in KINDS.items():
        with fake_upstream(_TOKENS, ALL_CORES, _STEP) as upstream:
            costs = _costs(upstream, make, runs)
            rows += [_row(f"{name}, {what}", some) for what, some in costs.items()]
            delay = median([_stream_delay(upstream, make) for _ in range(runs)])
            rows.append(Row(f"{name}: longest delay of another stream", f"{delay * 1000:.1f}", "", "ms", ""))
            longest = _longest_callback(upstream, make)
        missed = "" if longest.seconds <= LONGEST else longest.name
        figure = f"{name}: longest callback of the event loop"
        rows.append(Row(figure, f"{longest.seconds * 1000:.1f}", "", "ms of CPU", f"<= {LONGEST * 1000:.0f}", missed=missed))
    return [*rows, *await _compared(runs)]


async def _compared(runs: int) -> list[Row]:
    """Count a conversation of 1 MB with llama.cpp's own server, too: for the first time, and with a turn more."""
    with (
        llama_server(1, 8192) as engine,
        dragoman("--engine", "llama-server", "--engine-url", engine, "--engine-key", KEY) as (url, _),
    ):
        taken = await contest(Side(url), Side(engine), _counted, None, runs)
    return [Figure(name, "ms").row(taken, "llama.cpp's own") for name in (_FIRST, _A_TURN_MORE)]


async def _counted(side: Side) -> Figures:
    request = conversation(1_000_000)
    async with connect(side.url) as session:
        first, _ = await post(session, _COUNT, json.dumps(request).encode())
        more, _ = await post(session, _COUNT, json.dumps(_with_turn(request)).encode())
    return {_FIRST: first, _A_TURN_MORE: more}


def _row(name: str, costs: list[Cost]) -> Row:
    gateway, workers, answer = (
        median(getattr(cost, field) for cost in costs) * 1000 for field in ("gateway", "workers", "answer")
    )
    return Row(
        f"{name}: CPU of the gateway, of its workers; answer", f"{gateway:.1f}, {workers:.1f}; {answer:.0f}", "", "ms", ""
    )


def _costs(upstream: str, make: Callable[[], Json], runs: int) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {"first": [], "again": [], "a turn more": []}
    with dragoman("--engine", "llama-server", "--engine-url", upstream) as (url, pid):
        _cost(url, pid, conversation(200_000))  # a worker process has started
        for _ in range(runs):
            request = make()
            costs["first"].append(_cost(url, pid, request))
            costs["again"] += [_cost(url, pid, request) for _ in range(3)]
            for _ in range(3):
                request = _with_turn(request)
                costs["a turn more"].append(_cost(url, pid, request))
    return costs


def _cost(url: str, pid: int, request: Json) -> Cost:
    counting = _counting(url, request)
    workers = descendants(pid)
    gateway, others = cpu_seconds(pid), sum(map(cpu_seconds, workers))
    status, answer = counting.send_once()
    assert status == HTTPStatus.OK, status
    return Cost(cpu_seconds(pid) - gateway, sum(map(cpu_seconds, workers)) - others, answer)


def _counting(url: str, request: Json) -> Request:
    return Request(url, _COUNT, json.dumps(request).encode(), HEADERS)


def _stream_delay(upstream: str, make: Callable[[], Json]) -> float:
    """The longest time between two tokens of a stream during a large request, less the time between two steps of the engine."""
    streaming = json.dumps({**asking("Go.", _TOKENS), "stream": True}).encode()
    with dragoman("--engine", "llama-server", "--engine-url", upstream) as (url, _):
        counting = _counting(url, make())
        with other_stream(Request(url, "/v1/messages", streaming, HEADERS)) as longest_gap:
            longest_gap()
            counting.send_once()
            return max(longest_gap() - _STEP / 1000, 0.0)


def _longest_callback(upstream: str, make: Callable[[], Json]) -> Callback:
    with dragoman("--engine", "llama-server", "--engine-url", upstream, module="bench.watched") as (url, pid):
        counting = _counting(url, make())
        _counting(url, conversation(200_000)).send_once()
        longest_callback(pid)
        counting.send_once()
        return longest_callback(pid)
