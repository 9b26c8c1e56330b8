"""The adapter for vLLM against a fake server that sends the same bytes as vLLM, healthy or faulty."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dragoman.constraints.tree import Constraint, Json, Literal, Series
from dragoman.conversation import Sampling
from dragoman.engines import EngineRequest, Finish, FinishReason, OutputChunk, PrefillProgress, Routing
from dragoman.engines.vllm.engine import Vllm
from dragoman.engines.vllm.wire import CompletionReader
from dragoman.errors import EngineFailed, EngineUnavailable
from engines.conftest import collect, until
from engines.folders import model_folder


def chunk(text: str, total: int, finish: str | None = None, stop: int | str | None = None) -> bytes:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish, "stop_reason": stop}
    usage = {"prompt_tokens": 4, "total_tokens": 4 + total, "completion_tokens": total}
    return event({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice], "usage": usage})


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def usage(total: int, **details: Any) -> bytes:
    counts = {"prompt_tokens": 4, "total_tokens": 4 + total, "completion_tokens": total, **details}
    return event({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [], "usage": counts})


DONE = b"data: [DONE]\n\n"
CACHED = {"prompt_tokens_details": {"cached_tokens": 3}}
HEALTHY = chunk(" word", 1) + chunk("😀", 4) + chunk("", 5, "stop") + usage(5, **CACHED) + DONE
TAKEN = OutputChunk(prefill=PrefillProgress(total=4, cached=None, done=0))
CHUNKS = [
    TAKEN,
    OutputChunk(" word", 1),
    OutputChunk("😀", 3),
    OutputChunk("", 1),
    OutputChunk(finish=Finish(FinishReason.STOP, 3)),
]
ERROR = {"error": {"message": "EngineCore died", "type": "InternalServerError", "param": None, "code": 500}}
VERSION = {"version": "0.32.0"}


def bytes_of(token: int | str) -> bytes:
    return f"t{token}".encode()


def read(*parts: bytes, silent: bool = False) -> list[OutputChunk]:
    reader = CompletionReader(4, bytes_of, silent=silent)
    chunks = [chunk for part in (b"", *parts) for chunk in reader.feed(part)]
    assert reader.finished
    return chunks


def test_chunks_are_the_same_at_every_split_point() -> None:
    for at in range(len(HEALTHY) + 1):
        assert read(HEALTHY[:at], HEALTHY[at:]) == CHUNKS


def test_chunks_are_the_same_byte_by_byte() -> None:
    assert read(*(HEALTHY[at:end] for at, end in pairwise(range(len(HEALTHY) + 1)))) == CHUNKS


@pytest.mark.parametrize(
    ("stream", "last"),
    [
        (chunk("x", 1, "length") + usage(1) + DONE, Finish(FinishReason.LENGTH)),
        (chunk("x", 1, "stop", 151645) + usage(1, prompt_tokens_details=None) + DONE, Finish(FinishReason.STOP)),
        (chunk("x", 1, "stop", "</s>") + DONE, Finish(FinishReason.STOP)),
        (chunk("x", 1) + chunk("", 1, "stop") + usage(1, **CACHED), Finish(FinishReason.STOP, 3)),
    ],
    ids=["no details", "a stop token", "no usage at the end", "only the finish"],
)
def test_the_end_is_reported_once_with_the_known_counts(stream: bytes, last: Finish) -> None:
    assert read(stream) == [TAKEN, OutputChunk("x", 1), OutputChunk(finish=last)]


def test_chunks_without_counts_count_as_one_token_each() -> None:
    bare = event({"choices": [{"index": 0, "text": "a"}]}) + event(
        {"choices": [{"index": 0, "text": "b", "finish_reason": "stop"}]}
    )
    assert read(bare + DONE)[1:] == [OutputChunk("a", 1), OutputChunk("b", 1), OutputChunk(finish=Finish(FinishReason.STOP))]


def test_a_limit_of_zero_gives_no_text_and_ends_with_length() -> None:
    assert read(chunk("x", 1, "length") + usage(1, **CACHED), silent=True) == [
        TAKEN,
        OutputChunk(finish=Finish(FinishReason.LENGTH, 3)),
    ]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (event(ERROR) + DONE, "the engine failed: EngineCore died"),
        (chunk("", 1, "abort") + DONE, "aborted the request: abort"),
        (chunk("", 1, "error") + DONE, "aborted the request: error"),
        (DONE, "without a finish reason"),
        (usage(1) + DONE, "without a finish reason"),
        (b"data: {\n\n", "broke its protocol"),
        (b'data: {"choices": "\xff"}\n\n', "broke its protocol"),
        (b'data: {"x":' + b"[" * 100_000 + b"\n\n", "broke its protocol"),
        (b'data: {"choices":[{"text":7}]}\n\n', "broke its protocol"),
        (b"<html>\n\n", "broke its protocol"),
    ],
)
def test_a_failure_in_the_stream_comes_after_earlier_chunks(fault: bytes, message: str) -> None:
    chunks = CompletionReader(4, bytes_of).feed(chunk(" word", 1) + fault)
    assert [next(chunks), next(chunks)] == [TAKEN, OutputChunk(" word", 1)]
    with pytest.raises(EngineFailed, match=message):
        next(chunks)


class FakeVllm:
    """A fake vLLM. `enforces` decides which constraints it enforces; `refuses` which it does not compile."""

    def __init__(self, root: str) -> None:
        self.models = [{"id": "tiny", "root": root, "parent": None, "max_model_len": 64}]
        self.stream = [HEALTHY]
        self.details = True
        self.enforces: Callable[[Mapping[str, Any]], bool] = lambda held: "structural_tag" in held
        self.refuses: Callable[[str], bool] = lambda tag: False
        self.abort = False
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.down = False
        self.arrived, self.left = asyncio.Event(), asyncio.Event()

    @property
    def app(self) -> web.Application:
        @web.middleware
        async def check(request: web.Request, handler: Any) -> web.StreamResponse:
            self.keys.add(request.headers.get("Authorization"))
            response: web.StreamResponse = await (self._json(ERROR, 503) if self.down else handler(request))
            return response

        app = web.Application(middlewares=[check])
        app.router.add_get("/version", self._version)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._completions)
        return app

    async def _version(self, _request: web.Request) -> web.Response:
        return await self._json(VERSION)

    async def _models(self, _request: web.Request) -> web.Response:
        return await self._json({"object": "list", "data": self.models})

    async def _json(self, body: Any, status: int = 200) -> web.Response:
        return web.json_response(body, status=status)

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if not body["stream"]:
            return await self._trial(body)
        self.bodies.append(body)
        if self.refuses(body.get("structured_outputs", {}).get("structural_tag", "")):
            return await self._json({"error": {"message": "Invalid structural tag", "code": 400}}, 400)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in self.stream:
            await response.write(part)
        if self.abort:
            assert request.transport is not None
            request.transport.abort()
        return response

    async def _trial(self, body: dict[str, Any]) -> web.Response:
        held = body.get("structured_outputs")
        details = {"prompt_tokens_details": {"cached_tokens": 0} if self.details else None}
        text = "Q" if held is not None and self.enforces(held) else "4"
        return await self._json(
            {"choices": [{"text": text, "finish_reason": "length"}], "usage": {"completion_tokens": 1, **details}}
        )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return model_folder(tmp_path / "tiny")


@pytest.fixture
def server(root: Path) -> FakeVllm:
    return FakeVllm(str(root))


@asynccontextmanager
async def running(server: FakeVllm, **options: Any) -> AsyncGenerator[Vllm]:
    """The adapter for a server, not started."""
    async with TestServer(server.app) as http:
        engine = Vllm(str(http.make_url("/")), Path, **options)
        try:
            yield engine
        finally:
            await engine.close()


def make_request(limit: int = 5, **fields: Any) -> EngineRequest:
    return EngineRequest([1, 2, 3, 4], limit, Sampling(), **fields)


async def test_probe_results_are_reported(server: FakeVllm, root: Path) -> None:
    server.models.append({"id": "tiny-sql", "root": "/loras/sql", "parent": "tiny", "max_model_len": 64})
    async with running(server, key="secret") as engine:
        found = await engine.start()
    assert (found.model, found.window, found.slots, found.constrains, found.adapters) == ("tiny", 64, 256, True, ["tiny-sql"])
    assert (found.bos_token, found.eos_token) == ("<|im_start|>", "<|im_end|>")
    assert found.chat_template is not None
    described = dict(found.found)
    assert described.pop("engine").startswith("vLLM 0.32.0 at http://")
    assert described == {
        "model": str(root),
        "window": "64 tokens",
        "tokenizer": str(root),
        "adapters": "tiny-sql",
        "constraints": "structural tags",
        "cached tokens": "reported",
    }
    assert server.keys == {"Bearer secret"}


@pytest.mark.parametrize(
    ("held", "found"), [("structural_tag", "structural tags"), ("grammar", "Lark"), ("json", "none: a forced call is begun")]
)
async def test_supported_constraints_are_probed(server: FakeVllm, held: str, found: str) -> None:
    server.enforces = lambda asked: held in asked
    async with running(server) as engine:
        capabilities = await engine.start()
    assert capabilities.found["constraints"].startswith(found)
    assert capabilities.constrains == (held != "json")


async def test_a_server_that_does_not_report_cached_tokens_is_noted(server: FakeVllm) -> None:
    server.details = False
    async with running(server) as engine:
        assert (await engine.start()).found["cached tokens"].startswith("not reported")


async def test_a_named_tokenizer_overrides_the_models(server: FakeVllm, tmp_path: Path) -> None:
    server.models[0]["root"] = "/not/on/this/machine"
    async with running(server, tokenizer=str(model_folder(tmp_path / "other"))) as engine:
        assert (await engine.start()).found["tokenizer"] == str(tmp_path / "other")


async def test_a_complete_stream_is_passed_on(server: FakeVllm) -> None:
    async with running(server) as engine:
        await engine.start()
        assert await collect(engine, make_request()) == CHUNKS


async def test_only_fields_that_the_client_set_are_sent_and_the_limit_fits_the_context(server: FakeVllm) -> None:
    async with running(server) as engine:
        await engine.start()
        await collect(engine, make_request(500))
        chosen = Sampling(0.5, 0.9, 3, 4, 0.25, -0.5)
        await collect(engine, EngineRequest([1], 0, chosen, routing=Routing(adapter="tiny-sql")))
    fixed = {
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
    }
    assert server.bodies == [
        {**fixed, "model": "tiny", "prompt": [1, 2, 3, 4], "max_tokens": 60},
        {**fixed, "model": "tiny-sql", "prompt": [1], "max_tokens": 1, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 4}
        | {"presence_penalty": 0.25, "frequency_penalty": -0.5},
    ]


HELD = Constraint(Series((Literal("<tool_call>"), Json({"type": "string", "pattern": "(?=x)", "maxLength": 9}))), "held")


async def test_a_constraint_is_sent_as_a_structural_tag_with_special_tokens_by_their_ids(server: FakeVllm) -> None:
    async with running(server) as engine:
        await engine.start()
        (control,) = await engine.tokenize("<tool_call>")
        await collect(engine, make_request(constraint=HELD))
    tag = json.loads(server.bodies[0]["structured_outputs"]["structural_tag"])
    schema = {"type": "json_schema", "json_schema": HELD.root.nodes[1].schema, "max_whitespace_cnt": 1}  # type: ignore[union-attr]
    assert tag == {
        "type": "structural_tag",
        "format": {"type": "sequence", "elements": [{"type": "token", "token": control}, schema]},
    }


async def test_a_constraint_that_is_refused_is_relaxed_and_remembered(server: FakeVllm) -> None:
    server.refuses = lambda tag: "pattern" in tag
    async with running(server) as engine:
        await engine.start()
        for _ in range(2):
            assert await collect(engine, make_request(constraint=HELD)) == CHUNKS
    tags = [json.loads(body["structured_outputs"]["structural_tag"]) for body in server.bodies]
    assert [tag["format"]["elements"][1]["json_schema"] for tag in tags] == [
        {"type": "string", "pattern": "(?=x)", "maxLength": 9},
        {"type": "string", "maxLength": 9},
        {"type": "string", "maxLength": 9},
    ]


async def test_a_refusal_of_every_form_raises_its_reason(server: FakeVllm) -> None:
    server.refuses = lambda tag: True
    async with running(server) as engine:
        await engine.start()
        with pytest.raises(EngineFailed, match="status 400: Invalid structural tag"):
            await collect(engine, make_request(constraint=HELD))
    assert len(server.bodies) == 4


async def test_a_server_with_lark_gets_the_same_grammar_as_llama_cpp(server: FakeVllm) -> None:
    server.enforces = lambda asked: "grammar" in asked
    async with running(server) as engine:
        await engine.start()
        (control,) = await engine.tokenize("<tool_call>")
        await collect(engine, make_request(constraint=Constraint(Literal("<tool_call>"), "key")))
    assert server.bodies[0]["structured_outputs"] == {"grammar": f"%llguidance {{}}\nstart: <[{control}]>\n"}


@pytest.mark.parametrize("abort", [False, True])
async def test_a_truncated_stream_fails_after_its_last_chunk(server: FakeVllm, abort: bool) -> None:
    server.stream, server.abort = [chunk(" word", 1)], abort
    async with running(server) as engine:
        await engine.start()
        chunks = engine.generate(make_request())
        assert [await anext(chunks), await anext(chunks)] == CHUNKS[:2]
        with pytest.raises(EngineFailed, match="closed the connection during the request"):
            await anext(chunks)


async def test_an_error_in_the_stream_is_raised_once_and_not_as_the_end(server: FakeVllm) -> None:
    server.stream = [chunk(" word", 1), event(ERROR), DONE]
    async with running(server) as engine:
        await engine.start()
        chunks = engine.generate(make_request())
        assert [await anext(chunks), await anext(chunks)] == CHUNKS[:2]
        with pytest.raises(EngineFailed, match=r"^the engine failed: EngineCore died$"):
            await anext(chunks)
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)


@pytest.mark.parametrize("phase", ["before the answer", "in the stream"])
async def test_cancelling_closes_the_connection_at_once(server: FakeVllm, phase: str) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if not body["stream"]:
            return await FakeVllm._trial(server, body)
        server.arrived.set()
        response = web.StreamResponse()
        try:
            if phase == "in the stream":
                await response.prepare(request)
                await response.write(chunk(" word", 1))
            await server.left.wait()
        finally:
            server.left.set()
        return response

    server._completions = hang  # type: ignore[method-assign]
    async with running(server) as engine, asyncio.timeout(10):
        await engine.start()
        async with aclosing(engine.generate(make_request())) as chunks:
            if phase == "in the stream":
                assert [await anext(chunks), await anext(chunks)] == CHUNKS[:2]
                await chunks.aclose()
            else:
                waiting = asyncio.create_task(anext(chunks))
                await server.arrived.wait()
                waiting.cancel()
            await server.left.wait()


@pytest.mark.parametrize(("phase", "error"), [("before the answer", EngineUnavailable), ("in the stream", EngineFailed)])
async def test_closing_the_engine_fails_pending_requests(server: FakeVllm, phase: str, error: type[Exception]) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if not body["stream"]:
            return await server._trial(body)
        response = web.StreamResponse()
        if phase == "in the stream":
            await response.prepare(request)
            await response.write(chunk(" word", 1))
        server.arrived.set()
        await server.left.wait()
        return response

    server._completions = hang  # type: ignore[method-assign]
    async with running(server) as engine, asyncio.timeout(10):
        await engine.start()
        waiting = asyncio.create_task(collect(engine, make_request()))
        await server.arrived.wait()
        await engine.close()
        with pytest.raises(error):
            await waiting
        server.left.set()


async def test_a_server_with_another_model_gets_no_requests_until_the_first_is_back(
    server: FakeVllm, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(server) as engine:
        await engine.start()

        def has_status(status: str) -> Callable[[], Awaitable[bool]]:
            async def probe() -> bool:
                assert engine.watch is not None
                engine.watch.probe_soon()
                return engine.status == status

            return probe

        server.down = True
        with pytest.raises(EngineUnavailable, match="is not ready: EngineCore died"):
            await collect(engine, make_request())
        await until(has_status("unreachable"))
        first, server.models = server.models, [{"id": "tiny", "root": "/models/large", "parent": None, "max_model_len": 128}]
        server.down = False
        await until(has_status("changed"))
        with pytest.raises(EngineFailed, match="now serves /models/large as tiny, window 128, and this server was started for"):
            await collect(engine, make_request())
        assert len([line for line in caplog.messages if "now serves /models/large" in line]) == 1
        server.models = first
        await until(has_status("ready"))
        assert await collect(engine, make_request()) == CHUNKS
