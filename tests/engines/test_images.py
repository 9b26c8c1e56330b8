"""Images in prompts of the embedded engine, with the tiny model that sees."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dragoman.constraints.tree import Constraint, Json
from dragoman.conversation import Image, ImageSpan, Span, TextSpan, tokens_of
from dragoman.engines import EngineRequest, OutputChunk
from dragoman.engines.image_files import dimensions
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.llama.server import LlamaServer
from dragoman.errors import EngineFailed
from engines.conftest import GREEDY, assert_idle, collect, first_progress, output, text
from vision_model import BLUE, IMAGE_TOKENS, RED, picture, seeing_engine

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = "<|im_start|>user\nThe quick brown fox jumps over the lazy dog. What is this? "
REST = "<|im_end|>\n<|im_start|>assistant\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seeing() -> AsyncGenerator[EmbeddedLlama]:
    engine = seeing_engine()
    capabilities = await engine.start()
    assert capabilities.images
    yield engine
    await engine.close()


async def spans_of(engine: EmbeddedLlama, parts: Sequence[str | Image]) -> list[Span]:
    spans: list[Span] = []
    for part in parts:
        if isinstance(part, Image):
            spans.append(ImageSpan(part, await engine.image_length(part)))
        else:
            tokens = await engine.tokenize(part)
            spans.append(TextSpan(part, tokens, len(tokens)))
    return spans


async def request(engine: EmbeddedLlama, *parts: str | Image, limit: int = 8, json: bool = False) -> EngineRequest:
    spans = await spans_of(engine, parts)
    constraint = (
        Constraint(Json({"type": "object", "properties": {}, "additionalProperties": False}), "images") if json else None
    )
    return EngineRequest(tokens_of(spans), limit, GREEDY, constraint, spans=spans)


async def answer(engine: EmbeddedLlama, *parts: str | Image) -> str:
    return text(await collect(engine, await request(engine, *parts)))


async def cached(engine: EmbeddedLlama, made: EngineRequest) -> int:
    """The number of cached prompt tokens; the length that the engine counts is checked."""
    chunks = await collect(engine, made)
    prefill = chunks[0].prefill
    assert prefill is not None
    assert prefill.total == len(made.tokens)
    return prefill.cached or 0


async def test_different_pictures_give_different_answers(seeing: EmbeddedLlama) -> None:
    answers = [await answer(seeing, QUESTION, image, REST) for image in (RED, BLUE, RED)]
    assert answers[0] == answers[2] != answers[1]


async def test_the_same_picture_is_not_read_again(seeing: EmbeddedLlama) -> None:
    made = await request(seeing, "Once: ", picture(0, 255, 0), REST)
    assert await cached(seeing, made) == 0
    assert await cached(seeing, made) == len(made.tokens) - 1


async def test_another_picture_in_its_place_is_read(seeing: EmbeddedLlama) -> None:
    first, second = [await request(seeing, QUESTION, image, "!", REST) for image in (picture(9, 9, 9), picture(99, 0, 99))]
    await collect(seeing, first)
    beginning = len(await seeing.tokenize(QUESTION))
    assert beginning <= await cached(seeing, second) < len(first.tokens) - 10


async def test_a_second_turn_after_an_image_reuses_the_prefix(seeing: EmbeddedLlama) -> None:
    image = picture(200, 100, 0)
    first = await request(seeing, QUESTION, image, REST)
    chunks = await collect(seeing, first)
    second = await request(
        seeing, QUESTION, image, REST + text(chunks) + "<|im_end|>\n<|im_start|>user\nAnd this? ", BLUE, REST
    )
    assert await cached(seeing, second) >= len(first.tokens)


async def test_an_image_after_turns_of_text_reuses_their_prefix(seeing: EmbeddedLlama) -> None:
    words = "<|im_start|>user\nA conversation without any image.<|im_end|>\n<|im_start|>user\nLook: "
    tokens = await seeing.tokenize(words)
    await collect(seeing, EngineRequest(tokens, 1, GREEDY))
    made = await request(seeing, words, RED, REST)
    assert await cached(seeing, made) >= len(tokens)
    assert await first_progress(seeing, EngineRequest(tokens, 1, GREEDY)) == len(tokens) - 1


async def test_several_images_are_read_in_their_order(seeing: EmbeddedLlama) -> None:
    ways = [(RED, BLUE), (BLUE, RED), (RED, RED)]
    answers = {await answer(seeing, "First ", one, " and second ", other, REST) for one, other in ways}
    assert len(answers) == 3


async def test_a_constraint_and_an_image_go_together(seeing: EmbeddedLlama) -> None:
    chunks = await collect(seeing, await request(seeing, QUESTION, RED, REST, limit=40, json=True))
    assert text(chunks) == "{}"


async def test_the_length_of_an_image_is_known_before_it_is_read(seeing: EmbeddedLlama) -> None:
    sizes = [picture(1, 2, 3, side) for side in (1, 7, 64, 333)]
    around = len(await seeing.tokenize("<start_of_image>")) + len(await seeing.tokenize("<end_of_image>"))
    assert {await seeing.image_length(image) for image in sizes} == {IMAGE_TOKENS + around}
    for image in sizes:
        await cached(seeing, await request(seeing, "x", image))


TRICKY = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(["\n", "\n\n", " ", "  \n", "<|im_start|>", "<|im_end|>\n", "<", "|>", "é", "🦊", "\u0301", "\u2060"]),
        st.sampled_from(["<__media__>", "<__media_x__>", "<__image__>", "[img-1]", "\t", "1234", "don't", "x" * 40]),
    ),
    max_size=6,
).map("".join)


@given(before=TRICKY, after=TRICKY, last=TRICKY)
@example(before="", after="", last="")
@example(before="a ", after=" b", last="\n")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_text_beside_images_is_tokenized_as_it_is_counted(
    seeing: EmbeddedLlama, before: str, after: str, last: str
) -> None:
    before = before.replace("\0", "")
    made = await request(seeing, before, RED, after, BLUE, last, limit=1)
    assert await cached(seeing, made) <= len(made.tokens)
    if made.spans[0].tokens:  # the slot holds these very tokens, up to the image
        assert await first_progress(seeing, EngineRequest([*made.spans[0].tokens, 1], 1, GREEDY)) == len(made.spans[0].tokens)


async def test_a_text_that_spells_the_marker_stays_text(seeing: EmbeddedLlama) -> None:
    child = seeing._child
    assert child is not None
    marker = child.engine._images._marker  # type: ignore[attr-defined]
    chunks = await collect(seeing, await request(seeing, f"It says {marker}: ", RED, REST))
    assert output(chunks) == 8


async def test_a_server_at_an_address_sees_the_same(seeing: EmbeddedLlama) -> None:
    child = seeing._child
    assert child is not None
    address, key = child.engine._http.address, child._config.key  # type: ignore[attr-defined]
    remote = LlamaServer(address, key=key)
    try:
        assert (await remote.start()).images
        made = await request(seeing, QUESTION, RED, REST)
        assert text(await collect(remote, made)) == text(await collect(seeing, made))
        assert await remote.image_length(BLUE) == made.spans[1].length
    finally:
        await remote.close()


async def test_an_unreadable_image_is_refused_before_anything_is_sent(seeing: EmbeddedLlama) -> None:
    broken = Image(RED.data[:60], "image/png", "broken")
    with pytest.raises(EngineFailed, match="Failed to load image"):
        await collect(seeing, await request(seeing, QUESTION, broken, REST))


async def test_a_cancelled_request_with_an_image_frees_its_slot(seeing: EmbeddedLlama) -> None:
    made = await request(seeing, QUESTION, picture(3, 3, 3), REST, limit=4000)
    async with aclosing(seeing.generate(made)) as chunks:
        async for chunk in chunks:
            if chunk.text:
                break
    await assert_idle(seeing)
    assert await first_progress(seeing, made) >= len(made.tokens) - 1
    await assert_idle(seeing)


async def test_a_restart_with_images_in_flight_fails_them_and_serves_the_next(seeing: EmbeddedLlama) -> None:
    made = await request(seeing, QUESTION, RED, REST, limit=6000)
    expected = await answer(seeing, QUESTION, RED, REST)
    running = [asyncio.create_task(collect(seeing, made)) for _ in range(2)]
    await _started(seeing, made)
    assert seeing.pid is not None
    os.kill(seeing.pid, signal.SIGKILL)
    results: list[list[OutputChunk] | BaseException] = await asyncio.gather(*running, return_exceptions=True)
    assert [type(result) for result in results] == [EngineFailed, EngineFailed]
    assert await answer(seeing, QUESTION, RED, REST) == expected
    assert await seeing.image_length(RED) == made.spans[1].length


async def _started(engine: EmbeddedLlama, made: EngineRequest) -> None:
    while sum(slot.is_processing for slot in await engine.slots()) < 2:  # noqa: ASYNC110 -- another process
        await asyncio.sleep(0.01)


async def test_the_size_of_a_jpeg_is_read_from_its_frame() -> None:
    application = b"\xff\xe0" + (16).to_bytes(2, "big") + bytes(14)
    frame = b"\xff\xc2" + (17).to_bytes(2, "big") + b"\x08" + (480).to_bytes(2, "big") + (640).to_bytes(2, "big") + bytes(10)
    assert dimensions(b"\xff\xd8" + application + frame) == (640, 480)
    assert dimensions(b"\xff\xd8" + application) is None
    assert dimensions(b"GIF89a") is None
