"""The adapter against fake servers, healthy and faulty ones."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dragoman.conversation import Sampling
from dragoman.engines import Drafts, EngineRequest, Finish, FinishReason, OutputChunk, PrefillProgress
from dragoman.engines.llama.server import LlamaServer
from dragoman.engines.llama.wire import CompletionReader
from dragoman.errors import EngineFailed, EngineUnavailable
from engines.conftest import collect, make_request

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROGRESS = b'data: {"content":"","tokens":[0],"tokens_predicted":0,"prompt_progress":{"total":4,"cache":1,"processed":4}}\n\n'
WORD = b'data: {"index":0,"content":" word","tokens":[7],"stop":false,"tokens_predicted":1}\n\n'
EMOJI = 'data: {"content":"😀","tokens":[9],"stop":false,"tokens_predicted":4}\n\n'.encode()
LAST = b'data: {"content":"","stop":true,"stop_type":"eos","tokens_predicted":5}\n\n'
HEALTHY = PROGRESS + WORD + b": still here\n\n" + EMOJI + LAST
CHUNKS = [
    OutputChunk(prefill=PrefillProgress(total=4, cached=1, done=4)),
    OutputChunk(" word", 1, ids=[7]),
    OutputChunk("😀", 3, ids=[9]),
    OutputChunk("", 1, finish=Finish(FinishReason.STOP)),
]


def read(*parts: bytes, silent: bool = False) -> list[OutputChunk]:
    reader = CompletionReader(silent=silent)
    chunks = [chunk for part in parts for chunk in reader.feed(part)]
    assert reader.finished
    return chunks


def test_chunks_are_the_same_at_every_split_point() -> None:
    for at in range(len(HEALTHY) + 1):
        assert read(HEALTHY[:at], HEALTHY[at:]) == CHUNKS


def test_chunks_are_the_same_byte_by_byte() -> None:
    assert read(*(HEALTHY[at:end] for at, end in pairwise(range(len(HEALTHY) + 1)))) == CHUNKS


def test_a_limit_of_zero_gives_no_text_and_ends_with_length() -> None:
    assert read(HEALTHY, silent=True) == [CHUNKS[0], OutputChunk(finish=Finish(FinishReason.LENGTH))]


def test_drafts_are_counted_at_the_end() -> None:
    last = LAST.replace(b"}", b',"timings/draft_n":16,"timings/draft_n_accepted":3}')
    (chunk,) = CompletionReader().feed(last)
    assert chunk.finish == Finish(FinishReason.STOP, drafts=Drafts(16, 3))


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (
            b'data: {"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}',
            "the engine failed: Context",
        ),
        (b'error: {"code":500,"message":"Out of luck","type":"server_error"}', "the engine failed: Out of luck"),
        (b'error: {"error":{"message":"Out of luck"}}', "the engine failed: Out of luck"),
        (b"error: no JSON", "the engine failed: no JSON"),
        (b"data: {", "broke its protocol"),
        (b'data: {"content": "\xff"}', "broke its protocol"),
        (b'data: {"x":' + b"[" * 100_000, "broke its protocol"),
        (b'data: {"content":7}', "broke its protocol"),
        (b"<html>", "broke its protocol"),
        (b'data: {"content":"","stop":true,"stop_type":"whim","tokens_predicted":1}', "unknown reason: whim"),
    ],
)
def test_a_failure_in_the_stream_comes_after_earlier_chunks(event: bytes, message: str) -> None:
    chunks = CompletionReader().feed(WORD + event + b"\n\n" + LAST)
    assert next(chunks) == OutputChunk(" word", 1, ids=[7])
    with pytest.raises(EngineFailed, match=message):
        next(chunks)


@asynccontextmanager
async def fake_server(path: str, handler: Handler, key: str | None = None) -> AsyncGenerator[LlamaServer]:
    app = web.Application()
    app.router.add_route("*", path, handler)
    async with TestServer(app) as server, closing_engine(LlamaServer(str(server.make_url("/")), key=key)) as engine:
        yield engine


@asynccontextmanager
async def closing_engine(engine: LlamaServer) -> AsyncGenerator[LlamaServer]:
    try:
        yield engine
    finally:
        await engine.close()


def answering(status: int, body: bytes) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    return handler


def streaming(*parts: bytes, abort: bool = False) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if abort:
            assert request.transport is not None
            request.transport.abort()
        return response

    return handler


async def test_a_complete_stream_is_passed_on() -> None:
    async with fake_server("/completion", streaming(HEALTHY)) as engine:
        assert await collect(engine, make_request([1], 5)) == CHUNKS


@pytest.mark.parametrize("abort", [False, True])
async def test_a_truncated_stream_fails_after_its_last_chunk(abort: bool) -> None:
    async with fake_server("/completion", streaming(PROGRESS, WORD, abort=abort)) as engine:
        chunks = engine.generate(make_request([1], 5))
        assert [await anext(chunks), await anext(chunks)] == CHUNKS[:2]
        with pytest.raises(EngineFailed, match="closed the connection during the request"):
            await anext(chunks)


async def test_a_server_that_closes_the_connection_is_unavailable() -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with fake_server("/completion", hang_up) as engine:
        with pytest.raises(EngineUnavailable, match="closed the connection before it answered"):
            await collect(engine, make_request([1], 5))


@pytest.mark.parametrize("method", ["start", "tokenize", "generate"])
async def test_an_unreachable_server_is_unavailable_and_named(method: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with closing_engine(LlamaServer(address)) as engine:
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "start": engine.start,
            "tokenize": lambda: engine.tokenize("x"),
            "generate": lambda: collect(engine, make_request([1], 1)),
        }
        with pytest.raises(EngineUnavailable, match=f"the engine at {address} cannot be reached"):
            await calls[method]()


async def test_a_missing_socket_is_unavailable(tmp_path: Path) -> None:
    async with closing_engine(LlamaServer(f"unix://{tmp_path}/no.sock")) as engine:
        with pytest.raises(EngineUnavailable, match="cannot be reached"):
            await engine.start()


async def test_a_refused_key_is_reported() -> None:
    body = b'{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}'
    async with fake_server("/props", answering(401, body), key="wrong") as engine:
        with pytest.raises(EngineFailed, match="refused the key"):
            await engine.start()


async def test_the_key_if_any_is_sent_as_bearer() -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(body=b'{"tokens":[1]}')

    for key in ("secret", None):
        async with fake_server("/tokenize", handler, key=key) as engine:
            assert await engine.tokenize("x") == [1]
    assert seen == ["Bearer secret", None]


async def test_a_loading_server_is_unavailable() -> None:
    body = b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'
    async with fake_server("/props", answering(503, body)) as engine:
        with pytest.raises(EngineUnavailable, match="is not ready: Loading model"):
            await engine.start()


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b'{"default_generation_settings":{"n_ctx":"many"},"total_slots":1}', b"\xff"]
)
async def test_another_kind_of_server_is_refused(body: bytes) -> None:
    async with fake_server("/props", answering(200, body)) as engine:
        with pytest.raises(EngineFailed, match="is not a llama-server"):
            await engine.start()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"code":400,"message":"too long"}}', "status 400: too long"),
        (b"<html>", "status 400: <html>"),
        (b"", "no reason given"),
    ],
)
async def test_a_refusal_carries_the_reason(body: bytes, message: str) -> None:
    async with fake_server("/completion", answering(400, body)) as engine:
        with pytest.raises(EngineFailed, match=message):
            await collect(engine, make_request([1], 1))


async def test_only_fields_that_the_client_set_are_sent() -> None:
    bodies = []

    async def handler(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.Response(body=LAST)

    async with fake_server("/completion", handler) as engine:
        await collect(engine, EngineRequest([1, 2], 9, Sampling()))
        await collect(engine, EngineRequest([1, 2], 0, Sampling(0.5, 0.9, 3, 4, 0.25, -0.5)))
    fixed = {
        "prompt": [1, 2],
        "stream": True,
        "return_progress": True,
        "cache_prompt": True,
        "response_fields": [
            "content",
            "stop",
            "stop_type",
            "stopping_word",
            "tokens_predicted",
            "timings/draft_n",
            "timings/draft_n_accepted",
        ],
    }
    assert bodies == [
        {**fixed, "n_predict": 9},
        {**fixed, "n_predict": 1, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 4}
        | {"presence_penalty": 0.25, "frequency_penalty": -0.5},
    ]


async def test_a_path_as_the_models_name_is_shortened() -> None:
    bodies = {
        "/props": b'{"default_generation_settings":{"n_ctx":512},"total_slots":3,"bos_token":"<s>","eos_token":"</s>"}',
        "/v1/models": b'{"data":[{"id":"/models/Tiny-Q4.gguf"}]}',
    }

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=bodies[request.path])

    async with fake_server("/{path:.*}", handler) as engine:
        capabilities = await engine.start()
    assert (capabilities.model, capabilities.window, capabilities.slots) == ("Tiny-Q4", 512, 3)
    assert (capabilities.chat_template, capabilities.bos_token, capabilities.eos_token) == (None, "<s>", "</s>")


@pytest.mark.parametrize("phase", ["before the answer", "in the stream"])
async def test_cancelling_closes_the_connection_at_once(phase: str) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        arrived.set()
        response = web.StreamResponse()
        try:
            if phase == "in the stream":
                await response.prepare(request)
                await response.write(WORD)
            await left.wait()
        finally:
            left.set()
        return response

    async with (
        fake_server("/completion", handler) as engine,
        asyncio.timeout(10),
        aclosing(engine.generate(make_request([1], 5))) as chunks,
    ):
        if phase == "in the stream":
            assert await anext(chunks) == OutputChunk(" word", 1, ids=[7])
            await chunks.aclose()
        else:
            waiting = asyncio.create_task(anext(chunks))
            await arrived.wait()
            waiting.cancel()
        await left.wait()


async def test_a_very_long_prompt_is_sent() -> None:
    async def handler(request: web.Request) -> web.Response:
        sizes.append(len(await request.content.read()))
        return web.Response(body=HEALTHY)

    sizes: list[int] = []
    async with fake_server("/completion", handler) as engine:
        assert await collect(engine, make_request([100_000] * 300_000, 5)) == CHUNKS
    assert sizes[0] > 2_000_000
