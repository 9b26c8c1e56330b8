"""The behaviour that only SGLang's adapter has."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dragoman.constraints.tree import Constraint, Json, Literal, Series
from dragoman.conversation import Sampling
from dragoman.engines import EngineRequest, Finish, FinishReason, OutputChunk, PrefillProgress, Routing
from dragoman.engines.sglang.engine import SGLang
from dragoman.engines.sglang.wire import GenerateReader
from dragoman.errors import EngineFailed, EngineRefused, EngineUnavailable
from engines.conftest import collect, text, until
from engines.remote.fake_engine import MIDDLE, STATUS, ReceivedRequest, Reply
from engines.remote.fake_engines import ADAPTER, WINDOW, SGLangUpstream


def event(text: str, count: int, finish: Any = None) -> bytes:
    meta = {"prompt_tokens": 4, "completion_tokens": count, "cached_tokens": 1, "finish_reason": finish}
    return b"data: " + json.dumps({"text": text, "output_ids": [], "meta_info": meta}, ensure_ascii=False).encode() + b"\n\n"


STOP = {"type": "stop", "matched": 2}
COMMENT, DONE = b": still here\n\n", b"data: [DONE]\n\n"
TOTALS = event(" word", 1) + COMMENT + event(" word😀", 4) + event(" word😀", 5, STOP) + DONE
DELTAS = event(" word", 1) + COMMENT + event("😀", 4) + event("", 5, STOP) + DONE
BEGUN = OutputChunk(prefill=PrefillProgress(total=4, cached=1, done=4))
CHUNKS = [BEGUN, OutputChunk(" word", 1), OutputChunk("😀", 3), OutputChunk("", 1, finish=Finish(FinishReason.STOP))]


def bytes_of(token: int | str) -> bytes:
    return f"t{token}".encode()


def read(*parts: bytes, totals: bool) -> list[OutputChunk]:
    reader = GenerateReader(bytes_of, totals=totals)
    chunks = [chunk for part in parts for chunk in reader.feed(part)]
    assert reader.finished
    return chunks


@pytest.mark.parametrize(("stream", "totals"), [(TOTALS, True), (DELTAS, False)], ids=["totals", "deltas"])
def test_chunks_are_the_same_at_every_split_point(stream: bytes, totals: bool) -> None:
    for at in range(len(stream) + 1):
        assert read(stream[:at], stream[at:], totals=totals) == CHUNKS
    assert read(*(stream[at:end] for at, end in pairwise(range(len(stream) + 1))), totals=totals) == CHUNKS


def test_an_answer_in_one_chunk() -> None:
    assert read(event("yes", 2, STOP), totals=True) == [BEGUN, OutputChunk("yes", 2, finish=Finish(FinishReason.STOP))]


ABORT = {"type": "abort", "message": "out of memory", "err_type": "X"}


@pytest.mark.parametrize(
    ("last", "kind", "message"),
    [
        (event(" word", 1, ABORT), EngineFailed, "aborted the request: out of memory"),
        (event(" word", 1, {**ABORT, "status_code": 500}), EngineFailed, "aborted the request: out of memory"),
        (event(" word", 1, {**ABORT, "status_code": 503}), EngineUnavailable, "aborted the request: out of memory"),
        (event(" word", 1, {"type": "stop", "matched": "NaN happened"}), EngineFailed, "NaN happened"),
        (event(" word", 1, {"type": "whim"}), EngineFailed, "unknown reason: whim"),
        (event("other", 2), EngineFailed, "changed earlier text"),
        (b'data: {"error":{"message":"out of luck"}}\n\n', EngineFailed, "the engine failed: out of luck"),
        (b"data: {\n\n", EngineFailed, "broke its protocol"),
        (b'data: {"text": "\xff"}\n\n', EngineFailed, "broke its protocol"),
        (b'data: {"x":' + b"[" * 100_000 + b"\n\n", EngineFailed, "broke its protocol"),
        (b"<html>\n\n", EngineFailed, "broke its protocol"),
    ],
)
def test_a_failure_in_the_stream_comes_after_earlier_chunks(last: bytes, kind: type[Exception], message: str) -> None:
    chunks = GenerateReader(bytes_of, totals=True).feed(event(" word", 1) + last + DONE)
    assert [next(chunks), next(chunks)] == CHUNKS[:2]
    with pytest.raises(kind, match=message) as failure:
        next(chunks)
    assert not isinstance(failure.value, EngineRefused)


@pytest.mark.parametrize(
    "first", [b'data: {"error":{"message":"too long"}}\n\n', event("", 0, {**ABORT, "message": "too long", "status_code": 400})]
)
def test_a_failure_instead_of_the_first_chunk_is_a_refusal(first: bytes) -> None:
    with pytest.raises(EngineRefused, match="too long"):
        list(GenerateReader(bytes_of, totals=True).feed(first + DONE))


@pytest.fixture
def upstream(folder: Path) -> Iterator[SGLangUpstream]:
    upstream = SGLangUpstream(folder)
    upstream.start_upstream()
    yield upstream
    upstream.stop_upstream()


@asynccontextmanager
async def started(upstream: SGLangUpstream, **options: Any) -> AsyncGenerator[SGLang]:
    engine = SGLang(upstream.url, Path, **options)
    try:
        await engine.start()
        upstream.reset()
        yield engine
    finally:
        await engine.close()


async def test_probe_results_are_reported(upstream: SGLangUpstream) -> None:
    engine = SGLang(upstream.url, Path, key="secret", window=1000)
    found = await engine.start()
    await engine.close()
    assert (found.model, found.window, found.constrains, found.adapters) == ("model", 1000, True, [ADAPTER])
    assert found.found["stream"] == "all text so far"
    assert found.found["constraints"] == "structural tags"
    assert found.found["model"] == "org/model"
    assert set(upstream.keys) == {"Bearer secret"}


async def test_every_field_is_sent_and_unset_ones_come_from_the_model(upstream: SGLangUpstream, folder: Path) -> None:
    recommended = folder / "generation_config.json"
    recommended.write_text('{"temperature": 0.6, "top_k": 20, "top_p": null, "repetition_penalty": 1.05}', encoding="utf-8")
    try:
        async with started(upstream) as engine:
            await collect(engine, EngineRequest([1, 2], 9, Sampling()))
            await collect(
                engine, EngineRequest([1, 2], 9, Sampling(0.5, 0.9, 3, 4, 0.25, -0.5), routing=Routing(adapter=ADAPTER))
            )
            await collect(engine, EngineRequest([1, 2], 9, Sampling(top_p=0.0)))
    finally:
        recommended.unlink()
    usual = {"max_new_tokens": 9, "min_p": 0.0, "repetition_penalty": 1.05, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    usual |= {"ignore_eos": False, "skip_special_tokens": False, "spaces_between_special_tokens": False}
    assert [received.body["sampling_params"] for received in upstream.received] == [
        {**usual, "temperature": 0.6, "top_p": 1.0, "top_k": 20},
        {**usual, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "sampling_seed": 4}
        | {"presence_penalty": 0.25, "frequency_penalty": -0.5},
        {**usual, "temperature": 0.0, "top_p": 1.0, "top_k": 20},
    ]
    assert [received.body.get("lora_path") for received in upstream.received] == [None, ADAPTER, None]
    assert len({received.rid for received in upstream.received}) == 3


@pytest.mark.parametrize("phase", [STATUS, MIDDLE])
async def test_a_cancelled_request_is_aborted_by_its_id(upstream: SGLangUpstream, phase: int) -> None:
    async with started(upstream) as engine:
        upstream.hold(phase)
        working = asyncio.create_task(collect(engine, EngineRequest([1, 2], 9, Sampling())))

        async def is_held() -> bool:
            return upstream.holding == 1

        async def is_called_off() -> bool:
            return upstream.aborted == [upstream.received[0].rid]

        await until(is_held)
        working.cancel()
        await until(is_called_off)


async def test_request_ids_begin_with_the_affinity(upstream: SGLangUpstream) -> None:
    """The gateway keeps requests with the same text before `_t` and digits together, whatever the headers are."""
    async with started(upstream) as engine:
        for _ in range(2):
            await collect(engine, EngineRequest([1, 2], 9, Sampling(), routing=Routing(affinity="b1946ac924904d23")))
    first, second = [re.fullmatch(r"(\w+)_t(\d+)", received.rid) for received in upstream.received]
    assert first is not None
    assert second is not None
    assert first[1] == second[1] == "b1946ac924904d23"
    assert first[2] != second[2]


async def test_a_finished_request_is_not_aborted(upstream: SGLangUpstream) -> None:
    async with started(upstream) as engine:
        await collect(engine, EngineRequest([1, 2], 9, Sampling()))
    assert upstream.aborted == []


class Picky(SGLangUpstream):
    """Compiles no schema with a pattern, and reports that as SGLang does."""

    def chunks(self, received: ReceivedRequest, reply: Reply) -> Iterator[dict[str, Any]]:
        if '"pattern"' in received.constraint:
            message = {"type": "abort", "message": "Failed to compile json grammar", "status_code": 400}
            yield self._chunk(received, reply, "", 0, message)
            return
        yield from super().chunks(received, reply)


async def test_a_constraint_that_does_not_compile_is_relaxed_and_remembered(folder: Path) -> None:
    upstream = Picky(folder)
    upstream.start_upstream()
    held = Constraint(Series((Literal("<"), Json({"type": "string", "pattern": "a+"}))), "picky")
    try:
        async with started(upstream) as engine:
            for _ in range(2):
                assert text(await collect(engine, EngineRequest([1, 2], 9, Sampling(), held))) == "Hello there."
            assert ['"pattern"' in received.constraint for received in upstream.received] == [True, False, False]
    finally:
        upstream.stop_upstream()


async def test_a_server_without_text_is_refused_at_the_start(folder: Path) -> None:
    class Textless(SGLangUpstream):
        def _chunk(self, *fields: Any) -> dict[str, Any]:
            chunk = super()._chunk(*fields)
            del chunk["text"]
            return chunk

    upstream = Textless(folder)
    upstream.start_upstream()
    engine = SGLang(upstream.url, Path)
    try:
        with pytest.raises(EngineFailed, match="--skip-tokenizer-init"):
            await engine.start()
    finally:
        await engine.close()
        upstream.stop_upstream()


async def test_the_context_length_is_one_token_less_than_the_servers(upstream: SGLangUpstream) -> None:
    engine = SGLang(upstream.url, Path)
    assert (await engine.start()).window == WINDOW - 1
    await engine.close()
