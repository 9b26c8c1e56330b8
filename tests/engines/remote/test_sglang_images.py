"""Images with SGLang: the notation of the model's template in the prompt, and the images beside it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dragoman.conversation import ImageSpan, TextSpan, tokens_of
from dragoman.engines import EngineRequest
from dragoman.engines.sglang.engine import SGLang
from engines.conftest import GREEDY, collect, text
from engines.remote.fake_engine import ReceivedRequest
from engines.remote.fake_engines import SGLangUpstream
from vision_model import BLUE, RED, picture

NOTATION = "<|im_start|>image<|im_end|>"
LENGTH = 9


class SeeingUpstream(SGLangUpstream):
    """An SGLang whose model sees: every image has nine tokens, and `surplus` more are added to each prompt with images."""

    surplus: ClassVar[int] = 0
    notation: ClassVar[list[int]] = []

    def read(self, body: dict[str, Any]) -> ReceivedRequest:
        received = super().read(body)
        images = body.get("image_data") or []
        places = len("".join(map(chr, body["input_ids"])).split("".join(map(chr, self.notation)))) - 1 if images else 0
        assert places == len(images)
        added = [7] * ((LENGTH - len(self.notation)) * len(images) + self.surplus * bool(images))
        return ReceivedRequest([*received.prompt, *added], received.limit, received.constraint, body, received.rid)

    async def other(self, path: str, body: dict[str, Any]) -> Any:
        found = await super().other(path, body)
        return {**found, "has_image_understanding": True} if path == self.info else found


class CountingOtherwise(SeeingUpstream):
    surplus = 1


@asynccontextmanager
async def connected(folder: Path, kind: type[SeeingUpstream] = SeeingUpstream) -> AsyncGenerator[tuple[SGLang, Any]]:
    upstream = kind(folder)
    upstream.start_upstream()
    engine = SGLang(upstream.url, Path)
    try:
        assert (await engine.start()).images
        kind.notation[:] = await engine.tokenize(NOTATION)
        yield engine, upstream
    finally:
        await engine.close()
        upstream.stop_upstream()


async def test_an_image_is_sent_beside_the_notation_of_the_template(folder: Path) -> None:
    async with connected(folder) as (engine, upstream):
        assert await engine.accept_images(NOTATION)
        words = await engine.tokenize("What is this?")
        lengths = [await engine.image_length(image) for image in (RED, BLUE)]
        spans = [
            TextSpan("What is this?", words, len(words)),
            ImageSpan(RED, lengths[0]),
            ImageSpan(BLUE, lengths[1]),
            TextSpan("What is this?", words, len(words)),
        ]
        chunks = await collect(engine, EngineRequest(tokens_of(spans), 8, GREEDY, spans=spans))
        sent = upstream.received[-1].body
    assert sent["input_ids"] == [*words, *SeeingUpstream.notation * 2, *words]
    assert [url.partition(",")[0] for url in sent["image_data"]] == ["data:image/png;base64"] * 2
    assert lengths == [LENGTH, LENGTH]
    assert text(chunks) == "Hello there."
    assert chunks[0].prefill is not None
    assert chunks[0].prefill.total == len(tokens_of(spans))


async def test_the_length_of_an_image_is_asked_once_for_each_size(folder: Path) -> None:
    async with connected(folder) as (engine, upstream):
        await engine.accept_images(NOTATION)
        before = len(upstream.received)
        for image in (RED, BLUE, picture(1, 2, 3, 9), RED):
            assert await engine.image_length(image) == LENGTH
        assert len(upstream.received) == before + 2


@pytest.mark.parametrize(("kind", "notation"), [(SeeingUpstream, ""), (CountingOtherwise, NOTATION)])
async def test_images_that_have_no_notation_or_are_counted_otherwise_are_not_used(
    folder: Path, kind: type[SeeingUpstream], notation: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(folder, kind) as (engine, _):
        assert not await engine.accept_images(notation)
    assert "images are not used" in caplog.text
