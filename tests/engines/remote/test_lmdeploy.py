"""The behaviour that only LMDeploy's adapter has."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dragoman.constraints.tree import Constraint, Json, Literal
from dragoman.conversation import Sampling
from dragoman.engines import EngineRequest, Finish, FinishReason, OutputChunk, Routing
from dragoman.engines.lmdeploy.endpoints import ChatReader
from dragoman.engines.lmdeploy.engine import LMDeploy
from dragoman.errors import EngineFailed
from engines.conftest import collect, text
from engines.folders import model_folder
from engines.remote.fake_engine import ReceivedRequest, Reply
from engines.remote.fake_engines import ADAPTER, LMDeployParsingUpstream, LMDeployUpstream


def event(content: str | None = "", ids: tuple[int, ...] = (), finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "content": content, **delta}, "output_ids": ids}
    choice |= {"finish_reason": finish} if finish else {}
    return b"data: " + json.dumps({"choices": [choice], "usage": None}, ensure_ascii=False).encode() + b"\n\n"


USAGE = (
    b'data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":3}}}\n\n'
)
DONE = b"data: [DONE]\n\n"
WORDS = event(" word", (7,)) + event("", (8,)) + b": still here\n\n" + event("😀", (9, 9))
STREAM = WORDS + event("", (), "stop") + USAGE + DONE
SPOKEN = [OutputChunk(" word", 1, ids=[7]), OutputChunk("", 1, ids=[8]), OutputChunk("😀", 2, ids=[9, 9])]
CHUNKS = [*SPOKEN, OutputChunk("", 1, finish=Finish(FinishReason.STOP, 3))]


def bytes_of(token: int | str) -> bytes:
    return f"t{token}".encode()


def read(*parts: bytes) -> list[OutputChunk]:
    reader = ChatReader(bytes_of)
    chunks = [chunk for part in parts for chunk in reader.feed(part)]
    assert reader.finished
    return chunks


def test_chunks_are_the_same_at_every_split_point() -> None:
    for at in range(len(STREAM) + 1):
        assert read(STREAM[:at], STREAM[at:]) == CHUNKS
    assert read(*(STREAM[at:end] for at, end in pairwise(range(len(STREAM) + 1)))) == CHUNKS


def test_the_token_that_ends_the_generation_is_counted_once() -> None:
    """LMDeploy's counts leave it out; a version that includes it changes nothing."""
    including = USAGE.replace(b'"completion_tokens":4', b'"completion_tokens":5')
    assert read(STREAM.replace(USAGE, including)) == CHUNKS


def test_without_usage_cached_tokens_are_unknown() -> None:
    assert read(WORDS + event("", (), "length") + DONE) == [*SPOKEN, OutputChunk(finish=Finish(FinishReason.LENGTH))]


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (b'data: {"error":{"message":"out of luck","code":500,"object":"error"}}\n\n', "the engine failed: out of luck"),
        (event("", (), "abort"), "aborted the request: abort"),
        (event("", (), "error"), "aborted the request: error"),
        (event("", (), "parse_error"), "aborted the request: parse_error"),
        (event(None, (7,), reasoning_content="hm"), "without its parsers"),
        (event(None, (7,), tool_calls=[{"index": 0}]), "without its parsers"),
        (b"", "without a finish reason"),
        (b"data: {\n\n", "broke its protocol"),
        (b'data: {"choices": "\xff"}\n\n', "broke its protocol"),
        (b'data: {"x":' + b"[" * 100_000 + b"\n\n", "broke its protocol"),
    ],
)
def test_a_failure_in_the_stream_comes_after_earlier_chunks(last: bytes, message: str) -> None:
    chunks = ChatReader(bytes_of).feed(event(" word", (7,)) + last + DONE)
    assert next(chunks) == OutputChunk(" word", 1, ids=[7])
    with pytest.raises(EngineFailed, match=message):
        next(chunks)


@pytest.fixture
def upstream(folder: Path) -> Iterator[LMDeployUpstream]:
    upstream = LMDeployUpstream(folder)
    upstream.start_upstream()
    yield upstream
    upstream.stop_upstream()


async def test_every_field_is_sent(upstream: LMDeployUpstream) -> None:
    engine = LMDeploy(upstream.url, Path)
    found = await engine.start()
    assert (found.adapters, found.window) == ([ADAPTER], 2048)
    upstream.reset()
    await collect(engine, EngineRequest([1, 2], 9, Sampling()))
    await collect(
        engine,
        EngineRequest([1, 2], 0, Sampling(temperature=0.5, top_p=0.9, top_k=3, seed=4), routing=Routing(adapter=ADAPTER)),
    )
    await engine.close()
    usual = {"messages": [], "input_ids": [1, 2], "stream": True, "stream_options": {"include_usage": True}}
    usual |= {"return_token_ids": True, "skip_special_tokens": False, "spaces_between_special_tokens": False}
    usual |= {"min_p": 0.0, "repetition_penalty": 1.0}
    plain = {"model": found.found["model"], "max_completion_tokens": 9, "temperature": 1.0, "top_p": 1.0, "top_k": 0}
    chosen = {"model": ADAPTER, "max_completion_tokens": 1, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 4}
    assert [received.body for received in upstream.received] == [{**usual, **plain}, {**usual, **chosen}]


async def test_where_the_chat_endpoint_parses_the_other_one_is_used(folder: Path) -> None:
    upstream = LMDeployParsingUpstream(folder)
    upstream.start_upstream()
    engine = LMDeploy(upstream.url, Path)
    try:
        found = await engine.start()
        upstream.reset()
        await collect(engine, EngineRequest([1, 2], 9, Sampling(temperature=0.5, top_p=0.9, top_k=3, seed=4)))
    finally:
        await engine.close()
        upstream.stop_upstream()
    assert (found.adapters, found.constrains, found.formats) == ([], False, False)
    assert found.found["endpoint"] == "/generate, without seeds: the other one has a parser"
    assert found.found["cached tokens"] == "not reported by this endpoint"
    usual = {"stream": True, "skip_special_tokens": False, "spaces_between_special_tokens": False}
    usual |= {"min_p": 0.0, "repetition_penalty": 1.0}
    chosen = {"input_ids": [1, 2], "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "top_k": 3}
    assert [received.body for received in upstream.received] == [{**usual, **chosen}]


async def test_a_format_that_is_refused_is_relaxed_and_remembered(upstream: LMDeployUpstream) -> None:
    engine = LMDeploy(upstream.url, Path)
    held = Constraint(Json({"type": "string", "pattern": "a+", "maxLength": 9}), "picky")
    await engine.start()
    upstream.reset()
    upstream.unreadable = '"pattern"'
    for _ in range(2):
        assert text(await collect(engine, EngineRequest([1, 2], 9, Sampling(), held))) == "Hello there."
    await engine.close()
    assert [json.loads(received.constraint)["json_schema"]["schema"] for received in upstream.received] == [
        {"type": "string", "pattern": "a+", "maxLength": 9},
        {"type": "string", "maxLength": 9},
        {"type": "string", "maxLength": 9},
    ]


async def test_a_constraint_that_is_not_json_is_not_sent(upstream: LMDeployUpstream) -> None:
    engine = LMDeploy(upstream.url, Path)
    await engine.start()
    upstream.reset()
    with pytest.raises(EngineFailed, match="no text around it"):
        await collect(engine, EngineRequest([1, 2], 9, Sampling(), Constraint(Literal("<call>"), "a call")))
    await engine.close()
    assert upstream.received == []


async def test_an_unknown_context_length_must_be_given(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    (folder / "config.json").unlink()
    upstream = LMDeployUpstream(folder)
    upstream.start_upstream()
    try:
        engine = LMDeploy(upstream.url, Path)
        with pytest.raises(EngineFailed, match="--context-length"):
            await engine.start()
        await engine.close()
        engine = LMDeploy(upstream.url, Path, window=512)
        assert (await engine.start()).window == 512
        await engine.close()
    finally:
        upstream.stop_upstream()


async def test_a_server_that_accepts_no_token_ids_is_refused_at_the_start(folder: Path) -> None:
    class Old(LMDeployUpstream):
        def chunks(self, received: ReceivedRequest, reply: Reply) -> Iterator[dict[str, Any]]:
            yield {"error": {"message": "messages must not be empty"}}

    upstream = Old(folder)
    upstream.start_upstream()
    engine = LMDeploy(upstream.url, Path)
    try:
        with pytest.raises(EngineFailed, match=r"must not be empty .*input_ids"):
            await engine.start()
    finally:
        await engine.close()
        upstream.stop_upstream()
