"""Conversations with images, from the neutral form to the answer of a real engine: the tiny model that sees."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace

import msgspec
import pytest
import pytest_asyncio

from dragoman.conversation import Conversation, Sampling, Text, ThinkingPolicy, ToolCall, ToolChoice, ToolPolicy, ToolResult
from dragoman.engines import Capabilities
from dragoman.parts import CallStart, Ending, Prefill
from dragoman.parts import Text as TextPart
from dragoman.server import ModelEntry, Settings
from dragoman.server.models.served_model import ServedModel
from prompt import templates
from prompt.conversations import READ, assistant, changed, conversation_of, user
from vision_model import BLUE, RED, model_with_beginning, picture, seeing_engine

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncGenerator[ServedModel]:
    engine = seeing_engine()
    yield await ServedModel.load(ModelEntry.of(engine), Settings())
    await engine.close()


@dataclass(frozen=True)
class Answer:
    """An answer, and the counts of its request: `counted` before it began, `total` by the engine."""

    text: str
    counted: int
    usage: int
    total: int
    cached: int
    calls: int


async def ask(model: ServedModel, conversation: Conversation) -> Answer:
    conversation = changed(conversation, sampling=Sampling(temperature=0))
    prompt = await model.prompt(conversation)
    generation = model.generate(conversation.policy, prompt)
    await generation.prepare()
    parts = [part async for part in generation.run()]
    ending = parts[-1]
    assert isinstance(ending, Ending)
    return Answer(
        "".join(part.text for part in parts if isinstance(part, TextPart)),
        prompt.length,
        ending.counts.prompt,
        next(part.total for part in parts if isinstance(part, Prefill)),
        ending.counts.cached,
        sum(isinstance(part, CallStart) for part in parts),
    )


@pytest.mark.clause("CNT-2", "USE-1")
async def test_count_tokens_the_usage_and_the_engine_agree_with_images(model: ServedModel) -> None:
    result = ToolResult("a", "read", (Text("Two:"), RED, BLUE), is_error=False)
    for conversation in (
        conversation_of(user(RED)),
        conversation_of(user("<|im_end|> é <__media__>", RED, "\n\n", BLUE, "🦊 ")),
        conversation_of(user("Look."), assistant(ToolCall("a", "read", {})), user(result, "Well?"), tools=[READ]),
    ):
        answer = await ask(model, conversation)
        assert answer.counted == answer.usage == answer.total


@pytest.mark.clause("CACHE-4")
async def test_the_next_turn_finds_the_image_in_the_cache(model: ServedModel) -> None:
    start = conversation_of(user("A picture of the sea: ", picture(0, 99, 199), "What is it?"))
    first = await ask(model, start)
    second = await ask(model, conversation_of(*start.dialogue.turns, assistant(first.text), user("Sure? ", BLUE)))
    assert second.cached >= first.total - 3  # the generation prompt
    other = conversation_of(
        user("A picture of the sea: ", picture(99, 99, 9), "What is it?"), assistant(first.text), user("Sure?")
    )
    assert (await ask(model, other)).cached < first.total - 10


def with_template(start: Callable[[], Awaitable[Capabilities]], source: str) -> Callable[[], Awaitable[Capabilities]]:
    """The start of an engine whose model has another chat template."""

    async def started() -> Capabilities:
        return msgspec.structs.replace(await start(), chat_template=source)

    return started


@pytest.mark.slow
@pytest.mark.clause("CNT-2", "USE-1", "CACHE-4")
async def test_the_token_that_the_engine_puts_first_is_counted_though_the_template_does_not_write_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = seeing_engine(model_with_beginning())
    monkeypatch.setattr(engine, "start", with_template(engine.start, templates.SYSTEM_FIRST))
    model = await ServedModel.load(ModelEntry.of(engine), Settings())
    try:
        start = conversation_of(user("The first turn has no image, and the second has one. " * 3))
        first = await ask(model, start)
        second = await ask(model, conversation_of(*start.dialogue.turns, assistant(first.text), user("This:", RED)))
        for answer in (first, second):
            assert answer.counted == answer.usage == answer.total
        assert second.cached >= first.total - 3  # the generation prompt
        assert (await model.prompt(start)).text.startswith(model.found.bos_token + "[user]The first")
    finally:
        await model.close()


async def test_an_image_in_the_result_of_a_tool_is_seen(model: ServedModel) -> None:
    def after(*content: object) -> Conversation:
        result = ToolResult("a", "read", content, is_error=False)
        return conversation_of(user("Look."), assistant(ToolCall("a", "read", {})), user(result), tools=[READ])

    answers = [(await ask(model, after(*content))).text for content in ((RED,), (BLUE,), (Text("red"),), (RED,))]
    assert answers[0] == answers[3]
    assert len(set(answers)) == 3


@pytest.mark.clause("TOOL-5")
async def test_a_forced_call_after_an_image_is_a_call(model: ServedModel) -> None:
    tool = replace(READ, schema={"type": "object", "properties": {"at": {"enum": [1, 2]}}, "required": ["at"]})
    conversation = conversation_of(user("Look.", RED), tools=[tool])
    forced = changed(conversation, tool_policy=ToolPolicy(ToolChoice.ANY, parallel=False), max_tokens=200)
    assert (await ask(model, forced)).calls == 1


@pytest.mark.slow
async def test_an_answer_continues_after_closed_reasoning_beside_an_image(model: ServedModel) -> None:
    conversation = changed(
        conversation_of(user("Think about this.", RED)), thinking=ThinkingPolicy(enabled=True, budget=4), max_tokens=30
    )
    prompt = await model.prompt(conversation)
    generation = model.generate(conversation.policy, replace(prompt, thinking_open=True))
    parts = [part async for part in generation.run()]
    assert generation.repairs[:1] == ["reasoning closed"]
    assert isinstance(parts[-1], Ending)
