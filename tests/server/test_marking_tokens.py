"""Markers that are special tokens of the model, which llama.cpp leaves out of its text, unless they are asked for."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import pytest_asyncio

from clients.installed import CACHE, once
from dragoman.conversation import Sampling, Tool, ToolCall, ToolChoice, ToolPolicy
from dragoman.dialects import Dialect
from dragoman.dialects.marker_sets import marker_sets
from dragoman.dialects.markup import markup
from dragoman.dialects.registry import BY_NAME
from dragoman.engines import Capabilities
from dragoman.engines.llama.embedded import EmbeddedLlama
from dragoman.parts import CallDelta, CallStart, Part, Text, Thinking, ThinkingEnd
from dragoman.server import ModelEntry, Settings
from dragoman.server.models.served_model import ServedModel
from dragoman.special_tokens import candidates
from prompt.conversations import changed, conversation_of, user
from tiny_gguf import llama

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADD: Final = Tool(
    "add", "", {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"], "additionalProperties": False}
)
VERSION: Final = 1
"""Of the model; a change of the markers of the dialects needs another one."""


def marks(dialect: Dialect) -> list[str]:
    """The markers of a dialect that look like special tokens."""
    return sorted(candidates(" ".join(markup(dialect)), ()))


def model_file() -> Path:
    """The path of a tiny random model in whose vocabulary the markers of all dialects are special tokens."""
    return once(CACHE / f"marking-tokens-{VERSION}", _write) / "tiny.gguf"


def _write(folder: Path) -> None:
    control_tokens = sorted({mark for dialect in BY_NAME.values() for mark in marks(dialect)})
    llama(folder / "tiny.gguf", 1, np.random.default_rng(3), control_tokens)


class KeptEngine(EmbeddedLlama):
    """Starts once, for one served model after the other."""

    _kept: Capabilities | None = None

    async def start(self) -> Capabilities:
        self._kept = self._kept or await super().start()
        return self._kept


def new_engine() -> EmbeddedLlama:
    return KeptEngine(model_file(), context=1024, parallel=1, threads=1)


async def forced_call(model: ServedModel) -> Sequence[Part]:
    """The parts of an answer that must be a call of `ADD`."""
    policy = ToolPolicy(ToolChoice.TOOL, name="add", parallel=False)
    asked = changed(
        conversation_of(user("Add.")), tools=[ADD], tool_policy=policy, max_tokens=200, sampling=Sampling(temperature=0)
    )
    generation = model.generate(asked.policy, await model.prompt(asked))
    await generation.prepare()
    return [part async for part in generation.run()]


def assert_is_the_call(parts: Sequence[Part]) -> None:
    assert [part.name for part in parts if isinstance(part, CallStart)] == ["add"]
    assert "".join(part.json for part in parts if isinstance(part, CallDelta)).replace(" ", "") == '{"a":1}'
    assert not any(isinstance(part, Text) and part.text.strip() for part in parts)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncGenerator[EmbeddedLlama]:
    """An engine for one dialect after the other; it closes when all are done."""
    engine = new_engine()
    yield engine
    await engine.close()


@pytest.mark.clause("TOOL-5")
async def test_a_call_whose_tags_are_special_tokens_is_read() -> None:
    model = await ServedModel.load(ModelEntry.of(new_engine(), dialect=BY_NAME["mistral-v11"]), Settings())
    try:
        assert_is_the_call(await forced_call(model))
    finally:
        await model.close()


@pytest.mark.clause("TOK-9")
async def test_ordinary_tokens_that_spell_a_tag_are_text_and_the_special_token_is_the_tag() -> None:
    model = await ServedModel.load(ModelEntry.of(new_engine(), dialect=BY_NAME["qwen3"]), Settings())
    try:
        spelled, marked = [await read(model, "<think>so</think>", special=special) for special in (False, True)]
    finally:
        await model.close()
    assert spelled == [Text("<think>so</think>")]
    assert marked == [Thinking("so"), ThinkingEnd()]


async def test_the_patterns_of_a_dialect_are_compiled_when_its_model_is_loaded() -> None:
    marker_sets.cache_clear()
    model = await ServedModel.load(ModelEntry.of(new_engine(), dialect=BY_NAME["mistral-v11"]), Settings())
    try:
        compiled = marker_sets.cache_info().misses
        assert_is_the_call(await forced_call(model))
    finally:
        await model.close()
    assert compiled == marker_sets.cache_info().misses > 0


async def read(model: ServedModel, output: str, *, special: bool) -> list[Part]:
    """The parts of an output in ordinary tokens, or with its special tokens; adjacent texts are one."""
    parser = model.dialect.parser({}, thinking_open=False, markers=model._markers)
    parts: list[Part] = []
    for token in await model.engine.tokenize(output, special=special):
        parts += parser.feed(await model.engine.detokenize([token]), [token])
    parts += parser.finish(cut=False)
    texts = "".join(part.text for part in parts if isinstance(part, Text))
    return [*([Text(texts)] if texts else []), *(part for part in parts if not isinstance(part, Text))]


CALLING = sorted(name for name, dialect in BY_NAME.items() if dialect.calls is not None)


@pytest.mark.slow
@pytest.mark.clause("TOOL-5")
@pytest.mark.parametrize("name", CALLING)
async def test_the_tags_of_each_dialect_may_be_special_tokens(engine: EmbeddedLlama, name: str) -> None:
    model = await ServedModel.load(ModelEntry.of(engine, dialect=BY_NAME[name]), Settings())
    assert_is_the_call(await forced_call(model))


@pytest.mark.parametrize("name", CALLING)
async def test_the_markup_of_a_dialect_has_all_tags_that_it_writes(name: str) -> None:
    dialect = BY_NAME[name]
    calls = ToolCall("call00001", "add", {"a": 1}), ToolCall("call00001", "other", {"b": 1})
    first, second = (candidates(dialect.encode_calls([call]), ()) for call in calls)
    assert all(any(mark in tag for mark in marks(dialect)) for tag in first & second)
