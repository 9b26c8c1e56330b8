"""Prefix divergence, reported in terms that the sender knows."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dragoman import dialects
from dragoman.conversation import Conversation, Text, ThinkingPolicy, ToolResult, Turn
from dragoman.inspection.profile import inspect
from dragoman.observability import prefix_tracker
from dragoman.observability.prefix_tracker import PrefixTracker, trail_of
from dragoman.prompt import ChatTemplate, Prompt, PromptBuilder
from prompt import templates
from prompt.conversations import LOOP, NOW, READ, assistant, changed, conversation_of, system, user
from prompt.word_tokenizer import WordTokenizer

CONTROL = ["<|im_start|>", "<|im_end|>"]
TOP = ("You are careful.", "Dir: /home\ngitStatus: 3 files\nThat is all.")
TALK = conversation_of(*LOOP, assistant("Done."), user("Thanks."), top=TOP, tools=[NOW, READ])
AND_ON = (assistant("Welcome."), user("Once more."))


async def places(*conversations: Conversation, template: str = templates.FULL) -> Sequence[str]:
    """Return the reported divergence of each conversation, in order."""
    builder = await PromptBuilder.load(inspect(ChatTemplate(template), dialects.get("qwen3")), WordTokenizer(CONTROL), 10_000)
    tracker = PrefixTracker()
    return [tracker.follow(trail_of(conversation), await builder.build(conversation)).place for conversation in conversations]


async def place(after: Conversation, before: Conversation = TALK, template: str = templates.FULL) -> str:
    """Return the reported divergence of the second conversation, without its token."""
    first, second = await places(before, after, template=template)
    assert first == ""
    return second.partition(": ")[2]


def with_turns(*turns: Turn, of: Conversation = TALK) -> Conversation:
    return changed(of, turns=(*of.dialogue.turns, *turns))


@pytest.mark.clause("CACHE-4")
@pytest.mark.parametrize(
    "after",
    [
        TALK,
        with_turns(*AND_ON),
        with_turns(system("It is noon."), *AND_ON),
        changed(TALK, turns=(*TALK.dialogue.turns[:-1], user("Thanks.", "And now?"))),
        changed(TALK, turns=(*TALK.dialogue.turns[:-1], user("Thank you."))),
        changed(TALK, turns=TALK.dialogue.turns[:3]),
        changed(TALK, turns=(*TALK.dialogue.turns[:3], assistant("Done."), user("Go on."))),
        conversation_of(user("Another matter."), top=["Name this session."]),
        conversation_of(user("Another matter."), top=TOP, tools=[NOW, READ]),
        changed(TALK, system=(Text("x-anthropic-billing-header: cc_version=2;"), *TALK.dialogue.system)),
    ],
    ids=[
        "asked again",
        "a new turn",
        "a late system turn",
        "more words",
        "other words",
        "rewound",
        "rewound and on",
        "a title",
        "a sibling",
        "attribution",
    ],
)
async def test_a_continuation_or_another_conversation_does_not_diverge(after: Conversation) -> None:
    assert await place(after) == ""


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (changed(TALK, system=(Text(TOP[0]), Text(TOP[1].replace("3", "4")))), 'system block 2, "gitStatus: 4 files"'),
        (changed(TALK, system=(Text("Today."), *TALK.dialogue.system)), 'system block 1, "Today."'),
        (changed(TALK, system=TALK.dialogue.system[:1]), 'system block 2, gone, "'),
        (changed(TALK, tools=[NOW, replace(NOW, name="plan"), READ]), 'tool plan, "'),
        (changed(TALK, tools=[READ]), 'tool now, gone, "'),
        (changed(TALK, tools=[NOW, replace(READ, description="Reads.")]), 'tool read, "'),
        (changed(TALK, tools=[READ, NOW]), 'the order of the tools, "'),
        (
            changed(TALK, turns=(*LOOP[:2], user(ToolResult.of_text("a", "read", "bye")), *TALK.dialogue.turns[3:])),
            'turn 3 (user), tool result 1, "bye',
        ),
        (changed(TALK, turns=(*LOOP, assistant("Ready."), user("Thanks."))), 'turn 4 (assistant), text 1, "Ready.'),
        (changed(TALK, turns=(*TALK.dialogue.turns[:4], user("Thank you."), *AND_ON)), 'turn 5 (user), text 1, "'),
    ],
    ids=[
        "a line",
        "a new block",
        "a lost block",
        "a new tool",
        "a lost tool",
        "a changed tool",
        "order",
        "a result",
        "words",
        "an answered turn",
    ],
)
async def test_a_change_by_the_client_is_named(after: Conversation, expected: str) -> None:
    assert (await place(changed(after, turns=(*after.dialogue.turns, *AND_ON)))).startswith(expected)
    assert (await place(after)).startswith(expected), "also where it is asked again"


async def test_the_token_is_the_first_that_is_not_reused() -> None:
    other = changed(TALK, system=(Text(TOP[0]), Text(TOP[1].replace("3", "4"))))
    _, reported = await places(TALK, other)
    tokenizer = WordTokenizer(CONTROL)
    builder = await PromptBuilder.load(inspect(ChatTemplate(templates.FULL), dialects.get("qwen3")), tokenizer, 10_000)
    before, after = [await builder.build(conversation) for conversation in (TALK, other)]
    kept = next(place for place, pair in enumerate(zip(before.tokens, after.tokens, strict=False)) if pair[0] != pair[1])
    assert reported == f'token {kept:,} of {len(after.tokens):,}: system block 2, "gitStatus: 4 files"'


async def test_a_change_by_the_template_is_distinguished_from_one_by_the_client() -> None:
    thinking = changed(TALK, turns=LOOP, thinking=ThinkingPolicy(enabled=True))
    after = with_turns(assistant("Done."), user("Thanks."), of=thinking)
    reported = await place(after, thinking, templates.DROPS_REASONING)
    assert reported.startswith("rendered differently after turn 1 (user), text 1, ")


async def test_changed_thinking_settings_are_named() -> None:
    template = "{{ 'Reasoning: ' ~ ('on' if enable_thinking else 'off') ~ '\\n' }}" + templates.FULL
    before = changed(TALK, thinking=ThinkingPolicy(enabled=True))
    assert await place(with_turns(*AND_ON), before, template) == 'the thinking settings, "Reasoning: off"'


async def test_concurrent_conversations_are_compared_separately() -> None:
    other = conversation_of(user("Name it."), top=["Titles."])
    both = [TALK, other, with_turns(*AND_ON), with_turns(*AND_ON, of=other), changed(TALK, system=())]
    *quiet, last = await places(*both)
    assert not any(quiet)
    assert "system block" in last


async def test_only_the_newest_prompts_are_remembered() -> None:
    others = [conversation_of(user(f"Question {number}.")) for number in range(40)]
    assert not any(await places(TALK, *others, changed(TALK, system=())))


class CountingText(str):
    """A text that counts the characters that are searched for a part."""

    __slots__ = ("searched",)

    def find(self, part: str, start: int = 0) -> int:  # type: ignore[override]
        found = super().find(part, start)
        self.searched = getattr(self, "searched", 0) + (found if found >= 0 else len(self)) - start
        return found


@pytest.mark.parametrize(
    ("tools", "expected"), [(0, "rendered differently after turn 1 (user), text 1"), (3_000, "the order of the tools")]
)
def test_many_parts_are_not_all_searched_for(monkeypatch: pytest.MonkeyPatch, tools: int, expected: str) -> None:
    """The tracker runs on the event loop: in a prompt of 4 MB, the search for 4,000 tools took 0.4 s."""
    monkeypatch.setattr(prefix_tracker, "_MOST_SEARCHED", 1_000_000)
    turns = [user("Go on."), *(turn for n in range(2_000) for turn in (assistant(f"Lost {n}."), user(f"So? {n}")))]
    before = conversation_of(*turns, tools=[replace(READ, name=f"tool_{number}") for number in range(tools)])
    after = conversation_of(*turns, assistant("Done."), user("Thanks."))
    texts = [CountingText("x" * 50_000 + words + "y" * 50_000) for words in ("Go on!", "Go on.")]
    tracker = PrefixTracker()
    _, followed = (
        tracker.follow(trail_of(conversation), Prompt([1], text, 9, thinking_open=False))
        for conversation, text in zip((before, after), texts, strict=True)
    )
    assert followed.place.startswith(f"token 1 of 1: {expected}, ")
    assert sum(getattr(text, "searched", 0) for text in texts) <= 1_200_000
