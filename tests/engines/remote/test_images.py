"""Images beside token ids: the notation of the model's template in the prompt, and the images in their order."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dragoman.constraints.tree import Constraint, Literal
from dragoman.conversation import ImageSpan, Sampling, TextSpan, tokens_of
from dragoman.engines import Capabilities, EngineRequest
from dragoman.engines.lmdeploy.engine import LMDeploy
from dragoman.engines.sglang.engine import SGLang
from dragoman.engines.token_endpoint import TokenEndpoint
from dragoman.engines.vllm.engine import Vllm
from dragoman.engines.vllm.wire import CompletionReader
from engines.conftest import GREEDY, collect, text
from engines.real_servers.sight import IMAGE_TOKENS
from engines.real_servers.upstream import STARTS_WITHIN, RealLMDeploy, RealSGLang
from engines.remote.engine_cases import REAL_CASES, EngineCase
from engines.remote.fake_engine import event
from engines.remote.seeing import (
    LENGTH,
    NOTATION,
    SeeingLMDeploy,
    SeeingLMDeployParsing,
    SeeingSGLang,
    SeeingUpstream,
    SeeingVllm,
    images_in,
    seeing_folder,
)
from vision_model import BLUE, RED, picture

Kind = tuple[type[TokenEndpoint], type[SeeingUpstream]]

KINDS: list[Kind] = [(SGLang, SeeingSGLang), (Vllm, SeeingVllm), (LMDeploy, SeeingLMDeploy), (LMDeploy, SeeingLMDeployParsing)]

LENGTHS = {RealLMDeploy: IMAGE_TOKENS, RealSGLang: IMAGE_TOKENS + 6}
"""The tokens of an image: SGLang's model has two markers and two empty lines, of two tokens each, around them."""


@pytest.fixture(params=KINDS, ids=lambda kind: kind[1].kind)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeing_folder(tmp_path_factory.mktemp("seeing"))


@asynccontextmanager
async def connected(folder: Path, kind: Kind) -> AsyncGenerator[tuple[TokenEndpoint, Any, Capabilities]]:
    upstream = kind[1](folder)
    upstream.start_upstream()
    engine = kind[0](upstream.url, Path)
    try:
        yield engine, upstream, await engine.start()
    finally:
        await engine.close()
        upstream.stop_upstream()


async def showing(engine: TokenEndpoint, **fields: Any) -> EngineRequest:
    """A request with two images between the same words."""
    words = await engine.tokenize("What is this?")
    around = TextSpan("What is this?", words, len(words))
    images = [ImageSpan(image, await engine.image_length(image)) for image in (RED, BLUE)]
    spans = [around, *images, around]
    return EngineRequest(tokens_of(spans), 8, fields.pop("sampling", GREEDY), spans=spans, **fields)


async def test_images_are_sent_beside_the_notation_of_the_template(seeing: Path, kind: Kind) -> None:
    async with connected(seeing, kind) as (engine, upstream, found):
        assert found.images
        assert await engine.accept_images(NOTATION)
        request = await showing(engine)
        chunks = await collect(engine, request)
        received = upstream.received[-1]
        words, notation = [list(await engine.tokenize(part)) for part in ("What is this?", NOTATION)]
    ids = received.body["token_ids" if kind[0] is Vllm else "input_ids"]
    assert ids == [*words, *notation * 2, *words]
    assert [url.partition(",")[0] for url in images_in(received.body)] == ["data:image/png;base64"] * 2
    assert len(received.prompt) == len(request.tokens) == 2 * (len(words) + LENGTH)
    assert received.limit == 8
    assert text(chunks) == "Hello there."


async def test_the_length_of_an_image_is_asked_once_for_each_size(seeing: Path, kind: Kind) -> None:
    async with connected(seeing, kind) as (engine, upstream, _):
        await engine.accept_images(NOTATION)
        before = len(upstream.received)
        for image in (RED, BLUE, picture(1, 2, 3, 9), RED):
            assert await engine.image_length(image) == LENGTH
        assert len(upstream.received) == before + 2


async def test_images_that_have_no_notation_or_are_counted_otherwise_are_not_used(
    seeing: Path, kind: Kind, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(seeing, kind) as (engine, _, _):
        assert not await engine.accept_images("")
        assert "images are not used: the chat template writes none" in caplog.text
        monkeypatch.setattr(kind[1], "surplus", 1)
        assert not await engine.accept_images(NOTATION)
    assert "images are not used: it counts" in caplog.text


@pytest.mark.slow
@pytest.mark.timeout(2 * STARTS_WITHIN)
@pytest.mark.parametrize("case", REAL_CASES, ids=lambda case: case.name)
async def test_images_arrive_in_the_engine_of_the_real_server(
    case: EngineCase, real_servers: Callable[[EngineCase], Any]
) -> None:
    upstream = real_servers(case)
    engine = case.connect(upstream)
    try:
        assert (await engine.start()).images
        assert await engine.accept_images(upstream.notation)
        upstream.reset()
        request = await showing(engine)
        chunks = await collect(engine, request)
        received = upstream.received[-1]
        words = list(await engine.tokenize("What is this?"))
    finally:
        await engine.close()
    assert received.body["images"] == [[255, 0, 0], [0, 0, 255]]
    assert len(received.prompt) == len(request.tokens) == 2 * len(words) + 2 * LENGTHS[type(upstream)]
    assert [received.prompt[: len(words)], received.prompt[-len(words) :]] == [words, words]
    assert chunks[-1].finish is not None
    assert text(chunks) == "Hello there."


class WithoutScaleOut(SeeingVllm):
    """vLLM started without `--enable-scale-out`."""

    image_endpoint: ClassVar[str | None] = None


async def test_a_vllm_without_the_endpoint_for_images_gets_none_and_says_what_is_missing(seeing: Path) -> None:
    async with connected(seeing, (Vllm, WithoutScaleOut)) as (_, _, found):
        assert not found.images
        assert found.found["images"] == "none for them: --enable-scale-out is missing"


async def test_vllm_gets_sampling_and_constraint_beside_images(seeing: Path) -> None:
    (seeing / "generation_config.json").write_text('{"top_k": 20, "temperature": 0.6}', encoding="utf-8")
    async with connected(seeing, (Vllm, SeeingVllm)) as (engine, upstream, _):
        await engine.accept_images(NOTATION)
        held = Constraint(Literal("Hello"), "held")
        await collect(engine, await showing(engine, sampling=Sampling(seed=7, temperature=0.25), constraint=held, top=2))
        sent = upstream.received[-1].body["sampling_params"]
    assert "Hello" in sent.pop("structured_outputs")["structural_tag"]
    chosen = {"max_tokens": 8, "temperature": 0.25, "seed": 7, "logprobs": 2}
    neutral = {"top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
    assert sent == {
        "top_k": 20,
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        **chosen,
        **neutral,
    }


def test_vllm_reports_log_probabilities_by_bytes_beside_images() -> None:
    """A token may end in the middle of a character; vLLM's text of it then has a replacement character."""

    def entry(data: bytes, logprob: float) -> dict[str, Any]:
        return {"token": data.decode(errors="replace"), "bytes": list(data), "logprob": logprob}

    likely = [entry(b"\xf0\x9f", -0.5), entry(b"ha", -1.0)]
    choice = {"index": 0, "text": "", "token_ids": [9], "logprobs": {"content": [{**likely[0], "top_logprobs": likely}]}}
    reader = CompletionReader(3, lambda _: b"", top=2)
    (_, chunk) = list(reader.feed(event({"output_mode": "text", "choices": [choice]})))
    (found,) = chunk.logprobs
    assert (found.data, found.logprob) == (b"\xf0\x9f", -0.5)
    assert [(other.data, other.logprob) for other in found.top] == [(b"\xf0\x9f", -0.5), (b"ha", -1.0)]
