"""Speculative decoding: the output stays the same, and drafts are counted."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio
from gguf import GGUFWriter

from dragoman.constraints.tree import Constraint, Json
from dragoman.conversation import Image, ImageSpan, Sampling, Span, TextSpan, tokens_of
from dragoman.engines import Drafts, EngineRequest, FinishReason, OutputChunk
from dragoman.engines.llama.disk_cache import DiskSettings
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.engines.llama.speculation import AUTO, NGRAM, OFF, Speculation, Way
from dragoman.errors import EngineFailed
from dragoman.models.layers import is_plain
from tiny_gguf import finish
from vision_model import BLUE, PROJECTOR, RED, vision_model

from .conftest import GREEDY, assert_idle, collect, output, reason, text

NOTE = (
    "The harbour lies at the mouth of a small river. Fishing boats leave before dawn, and most of them are back by noon. "
    "The quay was built of grey stone in 1834, after a storm had carried the wooden one away."
)
OTHER = (
    "Above the town stands the old mill. Its wheel has not turned since the dam was closed, but the roof is kept dry, "
    "and the daughter of the miller still sweeps the floor each Monday."
)


def rewriting(note: str) -> str:
    """A prompt after which the model writes the note again."""
    asked = f"<|im_start|>user\nWrite it again: {note}<|im_end|>\n<|im_start|>assistant\n"
    return f"{asked}{note}<|im_end|>\n{asked}"


REWRITE = rewriting(NOTE)
PROSE = "<|im_start|>user\nWhat is a lighthouse?<|im_end|>\n<|im_start|>assistant\n"
LIMIT = 40
ON_CPU = "n-grams of the conversation, up to 16 tokens"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def speculating(model: Path) -> AsyncGenerator[EmbeddedLlama]:
    """An engine as it is started by default."""
    engine = EmbeddedLlama(model, context=1024, parallel=3, threads=1)
    assert (await engine.start()).found["speculates"] == ON_CPU
    yield engine
    await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(model: Path) -> AsyncGenerator[EmbeddedLlama]:
    """An engine without speculation."""
    engine = EmbeddedLlama(model, context=1024, parallel=1, threads=1, speculation=OFF)
    assert (await engine.start()).found["speculates"] == "nothing"
    yield engine
    await engine.close()


async def request(engine: EmbeddedLlama, prompt: str = REWRITE, limit: int = LIMIT, **fields: object) -> EngineRequest:
    return EngineRequest(await engine.tokenize(prompt), limit, **{"sampling": GREEDY, **fields})  # type: ignore[arg-type]


def drafts(chunks: Sequence[OutputChunk]) -> Drafts:
    finish = chunks[-1].finish
    assert finish is not None
    return finish.drafts


SAMPLED = Sampling(temperature=1.0, seed=7)


def held(text: dict[str, object], key: str) -> Constraint:
    """A constraint to an object with a text."""
    return Constraint(Json({"type": "object", "properties": {"text": text}, "required": ["text"]}), key)


COPY, FREE = held({"const": NOTE}, "copy"), held({"type": "string", "maxLength": 60}, "free")


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sampling": SAMPLED},
        {"constraint": COPY},
        {"constraint": FREE},
    ],
)
async def test_the_output_is_the_same(speculating: EmbeddedLlama, plain: EmbeddedLlama, fields: dict[str, object]) -> None:
    with_drafts = await collect(speculating, await request(speculating, **fields))
    without = await collect(plain, await request(plain, **fields))
    assert text(with_drafts) == text(without)
    assert output(with_drafts) == output(without)
    assert reason(with_drafts) is reason(without)
    assert drafts(without) == Drafts()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_repetition_that_is_demanded_is_drafted_and_counted() -> None:
    engine = EmbeddedLlama(vision_model(), context=1024, parallel=1, threads=1)
    try:
        assert (await engine.start()).found["speculates"] == ON_CPU
        chunks = await collect(engine, await request(engine, constraint=COPY))
    finally:
        await engine.close()
    assert NOTE.startswith(json.loads(f'{text(chunks)}"}}')["text"])
    assert_counted(chunks)


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("constraint", [None, COPY])
async def test_a_repetition_is_drafted_and_counted(speculating: EmbeddedLlama, constraint: Constraint | None) -> None:
    chunks = await collect(speculating, await request(speculating, constraint=constraint))
    copied = text(chunks)
    assert NOTE.startswith(json.loads(f'{copied}"}}')["text"] if constraint else copied)
    assert_counted(chunks)


def assert_counted(chunks: Sequence[OutputChunk]) -> None:
    """Check that a third of the tokens were drafted, and that the answer reached its limit."""
    found = drafts(chunks)
    assert LIMIT // 3 <= found.accepted <= min(found.drafted, output(chunks))
    assert output(chunks) == LIMIT
    assert reason(chunks) is FinishReason.LENGTH


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_prose_is_not_drafted(speculating: EmbeddedLlama) -> None:
    assert drafts(await collect(speculating, await request(speculating, PROSE))) == Drafts()


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_all_slots_draft_at_once(speculating: EmbeddedLlama) -> None:
    prompts = [REWRITE.replace("Write it", f"{number}. Write it", 1) for number in range(1, speculating.parallel + 1)]
    requests = [await request(speculating, prompt) for prompt in prompts]
    answers = await asyncio.gather(*(collect(speculating, each) for each in requests))
    assert all(drafts(chunks).accepted for chunks in answers)
    assert all(NOTE.startswith(text(chunks)) for chunks in answers)


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_a_cancelled_request_ends_and_its_slot_is_used_again(speculating: EmbeddedLlama) -> None:
    async with aclosing(speculating.generate(await request(speculating, limit=400))) as chunks:
        async for chunk in chunks:
            if chunk.text:
                break
    await assert_idle(speculating)
    assert NOTE.startswith(text(await collect(speculating, await request(speculating))))


@pytest.mark.slow
async def test_each_conversation_in_a_slot_is_drafted(model: Path) -> None:
    engine = EmbeddedLlama(model, context=512, parallel=1, threads=1)
    await engine.start()
    try:
        for note in (NOTE, OTHER):
            chunks = await collect(engine, await request(engine, rewriting(note)))
            assert note.startswith(text(chunks))
            assert drafts(chunks).accepted >= LIMIT // 3
    finally:
        await engine.close()


@pytest.mark.slow
async def test_a_restored_slot_drafts_as_before(model: Path, tmp_path: Path) -> None:
    def started() -> EmbeddedLlama:
        disk = DiskSettings(tmp_path, 1 << 30)
        return EmbeddedLlama(model, context=2048, parallel=1, threads=1, disk=disk, speculation=NGRAM)

    prompt = f"<|im_start|>user\n{NOTE * 8}<|im_end|>\n{REWRITE}"
    answers = []
    for _ in range(2):
        engine = started()
        await engine.start()
        try:
            answers.append(await collect(engine, await request(engine, prompt)))
        finally:
            await engine.close()
    first, restored = answers
    progress = restored[0].prefill
    assert progress is not None
    assert progress.cached is not None
    assert progress.cached > 0.9 * progress.total
    assert text(restored) == text(first)
    assert drafts(restored) == drafts(first) != Drafts()


async def beside_an_image(engine: EmbeddedLlama, image: Image, constraint: Constraint | None) -> EngineRequest:
    """A request about a note and an image."""
    spans: list[Span] = []
    for part in (REWRITE, image, PROSE):
        if isinstance(part, Image):
            spans.append(ImageSpan(part, await engine.image_length(part)))
        else:
            tokens = await engine.tokenize(part)
            spans.append(TextSpan(part, tokens, len(tokens)))
    return EngineRequest(tokens_of(spans), LIMIT, GREEDY, constraint, spans=spans)


@pytest.mark.slow
@pytest.mark.parametrize("speculation", [NGRAM, Speculation(Way.MODEL, str(vision_model()))], ids=["n-grams", "a draft model"])
async def test_answers_about_images_are_the_same(speculation: Speculation) -> None:
    """Free ones, and the note again, which n-grams draft."""
    model = vision_model()
    answers = []
    for each in (OFF, speculation):
        engine = EmbeddedLlama(model, parallel=1, threads=1, projector=model.with_name(PROJECTOR), speculation=each)
        try:
            await engine.start()
            asked = [await beside_an_image(engine, image, held) for image in (RED, BLUE) for held in (None, COPY)]
            answers.append([await collect(engine, each) for each in asked])
        finally:
            await engine.close()
    plain, speculating = answers
    assert [text(chunks) for chunks in speculating] == [text(chunks) for chunks in plain]
    assert [output(chunks) for chunks in speculating] == [output(chunks) for chunks in plain] == [LIMIT] * 4
    assert text(plain[0]) != text(plain[2])
    assert sum(drafts(chunks).accepted for chunks in speculating) > LIMIT // 3


@pytest.mark.slow
class TestWithADraftModel:
    """A model as its own draft model, so that every draft is accepted."""

    async def test_the_output_is_the_same_and_drafts_are_counted(self, tmp_path: Path) -> None:
        model = vision_model()  # a tiny one
        draft = Speculation(Way.MODEL, str(model))
        disk = DiskSettings(tmp_path, 1 << 30)
        plain = EmbeddedLlama(model, context=512, parallel=1, threads=1, speculation=OFF)
        engine = EmbeddedLlama(model, context=512, parallel=2, threads=1, speculation=draft, disk=disk)
        try:
            await plain.start()
            assert (await engine.start()).found["speculates"] == f"the draft model {model.stem}"
            for constraint in (None, FREE):
                chunks = await collect(engine, await request(engine, limit=16, constraint=constraint))
                without = await collect(plain, await request(plain, limit=16, constraint=constraint))
                assert (text(chunks), output(chunks)) == (text(without), output(without))
                assert drafts(chunks).accepted > 0
                assert drafts(chunks).accepted >= 0.5 * drafts(chunks).drafted  # a constraint refuses some
        finally:
            await engine.close()
            await plain.close()
        assert not any(os.scandir(tmp_path))  # a saved slot would lack the draft model's state

    @pytest.mark.parametrize(
        ("tokens", "difference"),
        [
            (["<a>", "<b>", "<c>", "<d>", "<e>", "x", "z"], "its token 6 is 'z', not 'y'"),
            (["<a>", "<b>", "<c>", "<d>", "<e>", "x", "y"] * 40, "its vocabulary has 280 tokens, not 7"),
        ],
    )
    async def test_another_vocabulary_is_refused_before_anything_is_loaded(
        self, tmp_path: Path, tokens: list[str], difference: str
    ) -> None:
        model = vocabulary_file(tmp_path / "big.gguf", ["<a>", "<b>", "<c>", "<d>", "<e>", "x", "y"])
        draft = vocabulary_file(tmp_path / "small.gguf", tokens)
        engine = EmbeddedLlama(model, speculation=Speculation(Way.MODEL, str(draft)))
        with pytest.raises(EngineFailed) as raised:
            await engine.start()
        assert str(raised.value) == f"the draft model {draft} does not fit {model}: {difference}"


def vocabulary_file(path: Path, tokens: list[str]) -> Path:
    """A GGUF file with a vocabulary and nothing else."""
    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    finish(writer)
    return path


@pytest.mark.parametrize("key", ["llama.expert_count", "jamba.ssm.conv_kernel", "gemma3.attention.sliding_window"])
def test_models_of_other_kinds_do_not_speculate_by_default(tmp_path: Path, key: str) -> None:
    path = tmp_path / "model.gguf"
    writer = GGUFWriter(path, key.partition(".")[0])
    writer.add_block_count(2)
    writer.add_uint32(key, 4)
    finish(writer)
    assert not is_plain(path)


def test_the_default_model_is_of_the_measured_kind(model: Path) -> None:
    assert is_plain(model)


@pytest.mark.parametrize(
    ("asked", "on_gpu", "shown"),
    [
        (AUTO, False, ON_CPU),
        (AUTO, True, "nothing (not measured on GPUs; --speculate ngram switches it on)"),
        (AUTO.off("a reason"), False, "nothing (a reason; --speculate ngram switches it on)"),
        (NGRAM, True, "n-grams of the conversation, up to 48 tokens"),
        (NGRAM.off("a reason"), False, ON_CPU),
        (OFF, False, "nothing"),
    ],
)
def test_what_speculates_is_said(asked: Speculation, shown: str, *, on_gpu: bool) -> None:
    assert asked.chosen(on_gpu=on_gpu).shown(on_gpu=on_gpu) == shown
