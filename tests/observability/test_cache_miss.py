"""Why the cache missed since an earlier answer, by what changed in the request."""

import pytest

from dragoman import dialects
from dragoman.conversation import Conversation, Text, ThinkingPolicy
from dragoman.inspection.profile import inspect
from dragoman.observability.cache_miss import CacheMiss, Reason, Sent, SentPrompts
from dragoman.observability.prefix_tracker import trail_of
from dragoman.prompt import ChatTemplate, PromptBuilder
from prompt import templates
from prompt.conversations import LOOP, NOW, READ, assistant, changed, conversation_of, system, user
from prompt.word_tokenizer import WordTokenizer

TALK = conversation_of(*LOOP, assistant("Done."), user("Thanks."), top=["You are careful."], tools=[NOW, READ])
TURNS = TALK.dialogue.turns
LONG = assistant("A long story " * 100)


TOKENIZER = WordTokenizer(["<|im_start|>", "<|im_end|>"])


async def sent(conversation: Conversation, model: str = "m", template: str = templates.FULL) -> Sent:
    builder = await PromptBuilder.load(inspect(ChatTemplate(template), dialects.get("qwen3")), TOKENIZER, 10_000)
    return Sent.of(model, trail_of(conversation), await builder.build(conversation))


REASONS = {
    "asked again": (TALK, None),
    "a new turn": (changed(TALK, turns=(*TURNS, assistant("Welcome."), user("Once more."))), None),
    "another system text": (changed(TALK, system=(Text("You are bold."),)), Reason.SYSTEM),
    "one more system text": (changed(TALK, system=(*TALK.dialogue.system, Text("Be brief."))), Reason.SYSTEM),
    "no system text": (changed(TALK, system=()), Reason.SYSTEM),
    "another order of tools": (changed(TALK, tools=[READ, NOW]), Reason.TOOLS),
    "one tool less": (changed(TALK, tools=[NOW]), Reason.TOOLS),
    "system text and tools": (changed(TALK, system=(), tools=[NOW]), Reason.SYSTEM),
    "an earlier answer": (changed(TALK, turns=(*TURNS[:3], assistant("Finished."), TURNS[-1])), Reason.MESSAGES),
    "the last turn": (changed(TALK, turns=(*TURNS[:-1], user("Thank you."))), Reason.MESSAGES),
    "fewer turns": (changed(TALK, turns=TURNS[:3]), Reason.MESSAGES),
    "a turn put between": (changed(TALK, turns=(*TURNS[:3], system("It is noon."), *TURNS[3:])), Reason.MESSAGES),
}


@pytest.mark.clause("CACHE-5")
@pytest.mark.parametrize(("after", "reason"), REASONS.values(), ids=REASONS)
async def test_the_reason_is_the_first_part_that_changed(after: Conversation, reason: Reason | None) -> None:
    prompts = SentPrompts()
    before = await sent(TALK)
    assert prompts.follow("", "msg_1", before) is None
    miss = prompts.follow("msg_1", "msg_2", await sent(after))
    assert (miss and miss.reason) == reason
    if miss:
        assert 0 < miss.tokens <= len(before.tokens)


@pytest.mark.clause("CACHE-5")
async def test_another_model_and_an_unknown_answer_are_reasons() -> None:
    prompts = SentPrompts()
    first = await sent(TALK)
    assert prompts.follow("msg_0", "msg_1", first) == CacheMiss(Reason.NOT_FOUND)
    assert prompts.follow("msg_1", "msg_2", await sent(TALK, "other")) == CacheMiss(Reason.MODEL, len(first.tokens))


@pytest.mark.clause("CACHE-5")
async def test_a_change_of_other_settings_is_not_diagnosed() -> None:
    prompts = SentPrompts()
    before = conversation_of(user("Hi"), LONG, user("So?"))
    prompts.follow("", "msg_1", await sent(before))
    other = "{{ 'thinking' }}" + templates.FULL
    miss = prompts.follow("msg_1", "msg_2", await sent(changed(before, thinking=ThinkingPolicy(enabled=True)), template=other))
    assert miss == CacheMiss(Reason.UNAVAILABLE)


async def test_only_the_newest_answers_are_remembered() -> None:
    prompts = SentPrompts()
    each = await sent(TALK)
    for number in range(200):
        prompts.follow("", f"msg_{number}", each)
    assert prompts.follow("msg_199", "msg_200", each) is None
    assert prompts.follow("msg_1", "msg_201", each) == CacheMiss(Reason.NOT_FOUND)
