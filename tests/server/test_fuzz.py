"""Random requests at every endpoint: each is answered, and each refusal has the API's format."""

import asyncio
import copy
import gzip
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest
from starlette.types import ASGIApp

from conftest import MODEL, registry_of, user
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.server import create_app
from server.transport.test_malformed import BODY, STRANGE

SEED = 20261128
FAILED = 500
CALL = {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"x": [1, {"y": null}]}'}}
CHAT: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 64,
    "messages": [
        {"role": "system", "content": "You are a duck."},
        user("Hi"),
        {"role": "assistant", "content": None, "reasoning": "hm", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "ok"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"x": {}}}}}],
    "tool_choice": "auto",
    "temperature": 0.5,
    "seed": 3,
    "stop": ["END"],
    "stream": False,
    "response_format": {"type": "text"},
}
FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"x": {}}}}
RESPONSE: dict[str, Any] = {
    "model": MODEL,
    "instructions": "You are a duck.",
    "input": [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Hi"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
                {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk="},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "dgm1.AAAA",
        },
        {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "look", "arguments": '{"x": [1, {"y": null}]}'},
        {"type": "custom_tool_call", "call_id": "b", "name": "patch", "input": "-a"},
        {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "ok"}]},
        {"type": "custom_tool_call_output", "call_id": "b", "output": "done"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "So.", "annotations": []}]},
        {"role": "user", "content": "And?"},
    ],
    "tools": [
        FUNCTION,
        {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "regex", "definition": "[+-]a"}},
        {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [FUNCTION]},
        {"type": "web_search", "external_web_access": False},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]},
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "text"}, "verbosity": "low"},
    "include": ["reasoning.encrypted_content"],
    "metadata": {"a": "b"},
    "max_output_tokens": 64,
    "parallel_tool_calls": False,
    "store": True,
    "truncation": "auto",
}
CONTINUED: dict[str, Any] = {"model": MODEL, "input": [{"type": "item_reference", "id": "msg_1"}], "previous_response_id": None}
PLAIN: dict[str, Any] = {"model": MODEL, "prompt": [1, 2, 3], "max_tokens": 5, "stop": "x", "stream": False, "seed": 1}
CHANGES: dict[str, Any] = {
    **BODY,
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}},
    "messages": [
        user("Hi"),
        {
            "role": "system",
            "content": [
                {"type": "text", "text": "News."},
                {"type": "tool_removal", "tool": {"type": "tool_reference", "name": BODY["tools"][0]["name"]}},
            ],
        },
    ],
}
VALID = {
    "/v1/messages": (BODY, CHANGES),
    "/v1/messages/count_tokens": (BODY, CHANGES),
    "/v1/chat/completions": (CHAT,),
    "/v1/completions": (PLAIN,),
    "/v1/responses": (RESPONSE, CONTINUED),
    "/v1/responses/input_tokens": (RESPONSE,),
}
BROKEN = (b"\xff", b"\xed\xa0\x80", b"\x00", b"\\ud83c", b"[" * 300, b"9" * 5000, b"1e999", b"'", b",", b"")

PATHS = (
    *VALID,
    *("/", "/health", "/metrics", "/props", "/v1", "/v1/", "/v1/models", f"/v1/models/{MODEL}", "/v1/models/none"),
    *(
        "/v1/responses/resp_1",
        "/v1/responses/resp_1/input_items",
        "/v1/responses/resp_1/cancel",
        "/v1/responses/",
        "/v1/responses/\u00e9",
    ),
    *("/v1/messages/batches", "/v1/files", "//v1/models", "/v1/models/../messages", "/v1/models/\u00e9\U0001f98a", "/\x00"),
)
QUERIES = (
    "",
    "beta=true",
    "limit=0",
    "limit=-1",
    f"limit={'9' * 5000}",
    "limit=x",
    "after_id=",
    "after_id=a&before_id=b",
    "%ff=%",
    "&&=",
    "stream=true&limit=x&order=&after=%00",
)
METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "get", "BREW")


class Ask(Protocol):
    """Sends one request to the application, and returns status, headers and body."""

    async def __call__(
        self, path: str, body: bytes, headers: dict[str, str], method: str = "POST"
    ) -> tuple[int, dict[str, str], bytes]: ...


@asynccontextmanager
async def application() -> AsyncIterator[Ask]:
    """The application without a socket: `ask(path, body, headers, method)` returns status, headers and body."""
    engine = ScriptedEngine([Line("Hello.")], model=MODEL, window=100_000, slots=64)
    app = create_app(registry_of(engine, id=MODEL))

    async def ask(path: str, body: bytes, headers: dict[str, str], method: str = "POST") -> tuple[int, dict[str, str], bytes]:
        sent: list[Any] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return waiting.pop() if waiting else await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            sent.append(message)

        fields = {"content-type": "application/json", "anthropic-version": "2023-06-01"} | headers
        raw = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
        path, _, query = path.partition("?")
        scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw, "state": {}}
        await app(scope, receive, send)
        answered = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:])

    async with _running(app):
        yield ask


@asynccontextmanager
async def _running(app: ASGIApp) -> AsyncIterator[None]:
    """The lifespan of an application, in which its models are loaded."""
    to_app: asyncio.Queue[Any] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    lifespan = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, to_app.get, from_app.put))

    async def step(name: str) -> None:
        await to_app.put({"type": f"lifespan.{name}"})
        assert await from_app.get() == {"type": f"lifespan.{name}.complete"}

    await step("startup")
    try:
        yield
    finally:
        await step("shutdown")
        await lifespan


def fuzzed(rng: random.Random) -> tuple[str, bytes, dict[str, str]]:
    """Return a valid body of some endpoint, changed in a few places: as a value, sometimes as bytes, too."""
    path = rng.choice(list(VALID))
    body = copy.deepcopy(rng.choice(VALID[path]))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        _mutate(body, rng)
    if rng.random() < 0.5:
        body["stream"] = True
    data = json.dumps(body, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    headers: dict[str, str] = {}
    if rng.random() < 0.2:
        at = rng.randrange(len(data))
        data = data[:at] + rng.choice(BROKEN) + data[at + rng.randrange(4) :]
    if rng.random() < 0.05:
        data, headers["content-encoding"] = gzip.compress(data)[: rng.choice((None, -5))], "gzip"
    if rng.random() < 0.05:
        headers[rng.choice(("content-type", "anthropic-version", "anthropic-beta", "x-api-key"))] = rng.choice(
            ("", "x", "application/json; charset=utf-16", "text/plain", "\xff", ",,", "a" * 999)
        )
    return path, data, headers


def _mutate(body: Any, rng: random.Random) -> None:
    """Change one thing in a JSON value: insert a strange value, remove, repeat, move, or add an unknown field."""
    place = body
    while True:
        inner = list(place.values() if isinstance(place, dict) else place)
        deeper = [value for value in inner if isinstance(value, dict | list) and value]
        if not deeper or rng.random() < 0.25:
            break
        place = rng.choice(deeper)
    strange = copy.deepcopy(
        rng.choice(
            (*STRANGE, "\ud83c", '{"a": "\\ud83c', '{"a":' * 3000, 2**63, -(2**63) - 1, 1e-320, [0] * 300, {"a": {"b": [None]}})
        )
    )
    if not place:
        return
    if isinstance(place, dict):
        key = rng.choice(list(place))
        match rng.randrange(4):
            case 0:
                del place[key]
            case 1:
                place[f"{key}_"] = strange
            case _:
                place[key] = strange
        return
    match rng.randrange(4):
        case 0:
            place.append(copy.deepcopy(rng.choice(place)))
        case 1:
            rng.shuffle(place)
        case _:
            place[rng.randrange(len(place))] = strange


async def _try(count: int, seed: int) -> None:
    rng = random.Random(seed)
    statuses = set()
    async with application() as ask:
        for number in range(count):
            path, data, headers = fuzzed(rng)
            where = f"seed {seed}, body {number}: {path} {headers} {data[:2000]!r}"
            status, answered, content = await ask(path, data, headers)
            assert status < FAILED, where
            assert answered["request-id"], where
            if status >= 400:
                error = json.loads(content)["error"]
                assert isinstance(error["message"], str), where
                assert error["message"], where
            failed = (b'"api_error"', b'"server_error"')
            assert not any(kind in content for kind in failed), where  # a stream fails after its status was sent
            statuses.add(status)
    assert {200, 400} <= statuses


@pytest.mark.parametrize(
    ("prompt", "path"),
    [
        ([10**9], "prompt.0"),
        ([-1], "prompt.0"),
        ([10**30], "prompt.0"),
        ([True], "prompt.0"),
        ([0, 1.5], "prompt.1"),
        (7, "prompt"),
    ],
)
async def test_token_ids_that_do_not_exist_are_refused_at_their_place(prompt: object, path: str) -> None:
    async with application() as ask:
        status, _, content = await ask("/v1/completions", json.dumps(PLAIN | {"prompt": prompt}).encode(), {})
    assert status == 400
    assert json.loads(content)["error"]["param"] == path


async def test_a_few_hundred_random_bodies_are_answered() -> None:
    await _try(400, SEED)


async def test_random_requests_without_a_body_are_answered() -> None:
    rng = random.Random(SEED)
    async with application() as ask:
        for number in range(600):
            path, method, query = rng.choice(PATHS), rng.choice(METHODS), rng.choice(QUERIES)
            name = rng.choice(("origin", "accept", "if-none-match", "range", "x-api-key", "access-control-request-method"))
            headers = {name: rng.choice(("", "*", "null", "http://localhost:1", "bytes=0-", "\xff", "a" * 999))}
            where = f"seed {SEED}, request {number}: {method} {path}?{query[:60]} {headers}"
            status, answered, content = await ask(f"{path}?{query}", b"", headers, method)
            assert status < FAILED, where
            assert answered["request-id"], where
            if status >= 400 and method != "HEAD":
                assert json.loads(content)["error"]["message"], where


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_thousands_of_random_bodies_are_answered() -> None:
    await _try(30_000, SEED + 1)
