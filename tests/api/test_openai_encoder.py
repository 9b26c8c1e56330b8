"""The encoders of the OpenAI-compatible API: chunks, and the answer that they fold to."""

from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion as ChatCompletionModel
from openai.types.chat import ChatCompletionChunk as ChunkModel

from dragoman import dialects
from dragoman.api.openai.completions import FINISHES, ChatChunk, Completion
from dragoman.api.openai.encoder import Answer, ChatEncoder, CompletionEncoder
from dragoman.api.openai.folding import fold_chat, fold_completion
from dragoman.conversation import AnswerPolicy, Tool, ToolCall, ToolPolicy
from dragoman.generation.output_policies import OutputPolicies
from dragoman.parts import (
    CallDelta,
    CallEnd,
    CallStart,
    Ending,
    Part,
    Prefill,
    PromptTokens,
    StopReason,
    Text,
    Thinking,
    ThinkingEnd,
    TokenCounts,
)
from splits import same_at_every_split

TALLY = TokenCounts(prompt=9, cached=4, output=7, thinking=2)
TURN: Sequence[Part] = [
    Prefill(9, 4, 9),
    Thinking("It may "),
    Thinking("rain."),
    ThinkingEnd("signed"),
    Text("I look."),
    CallStart("weather", "toolu_1"),
    CallDelta('{"place": '),
    CallDelta('"Ulm"}'),
    CallEnd(),
    CallStart("now", "toolu_2"),
    CallDelta("{}"),
    CallEnd(),
    Ending(StopReason.TOOL_USE, TALLY),
]
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 7,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def plain(value: object) -> dict[str, Any]:
    """The value as the JSON that a client receives."""
    return msgspec.json.decode(msgspec.json.encode(value))


def chat_answer(*, usage: bool = True, choices: int = 1) -> Answer[ChatChunk]:
    return Answer(partial(ChatChunk, "chatcmpl-1", 5, "m"), usage=usage, choices=choices, per_prompt=choices)


def text_answer(*, choices: int = 1, per_prompt: int = 1) -> Answer[Completion]:
    return Answer(partial(Completion, "cmpl-1", 5, "m"), usage=True, choices=choices, per_prompt=per_prompt)


def chunks(parts: Sequence[Part], *, usage: bool = True) -> list[dict[str, object]]:
    encoder = ChatEncoder(chat_answer(usage=usage))
    made = [*encoder.start(TokenCounts(9)), *(chunk for part in parts for chunk in encoder.encode(part))]
    return [plain(chunk) for chunk in made]


def test_a_stream_has_the_role_then_the_content_then_the_finish_reason() -> None:
    made = chunks(TURN, usage=False)
    assert all("usage" not in chunk for chunk in made)
    deltas = [chunk["choices"][0]["delta"] for chunk in made]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "It may "},
        {"reasoning_content": "rain."},
        {"content": "I look."},
        {"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"place": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Ulm"}'}}]},
        {"tool_calls": [{"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in made] == [None] * 9 + ["tool_calls"]
    assert {(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in made} == {
        ("chatcmpl-1", "chat.completion.chunk", 5, "m")
    }


def test_requested_counts_are_in_a_chunk_of_their_own() -> None:
    *before, last = chunks(TURN)
    assert all(chunk["usage"] is None for chunk in before)
    assert (last["choices"], last["usage"]) == ([], USAGE)


def test_the_answer_is_the_fold_of_its_chunks() -> None:
    encoder = ChatEncoder(chat_answer())
    answer = plain(fold_chat(chunk for part in TURN for chunk in encoder.encode(part)))
    assert answer["usage"] == USAGE
    assert answer["object"] == "chat.completion"
    assert answer["choices"] == [
        {
            "index": 0,
            "logprobs": None,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "I look.",
                "refusal": None,
                "reasoning_content": "It may rain.",
                "tool_calls": [
                    {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Ulm"}'}},
                    {"id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                ],
            },
        }
    ]


@pytest.mark.parametrize("reason", StopReason)
def test_every_ending_has_a_finish_reason(reason: StopReason) -> None:
    encoder = ChatEncoder(chat_answer())
    answer = fold_chat(encoder.encode(Ending(reason, TALLY)))
    assert answer.choices[0].finish_reason == FINISHES[reason]
    assert answer.choices[0].message.content == ""


@given(st.lists(st.text(min_size=1)))
def test_a_completion_is_its_text_however_it_was_split(texts: list[str]) -> None:
    encoder = CompletionEncoder(text_answer())
    parts: list[Part] = [*map(Text, texts), Ending(StopReason.MAX_TOKENS, TALLY)]
    answer = fold_completion(chunk for part in parts for chunk in encoder.encode(part))
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("".join(texts), "length")
    assert plain(answer.usage) == USAGE


def test_a_stream_without_its_end_raises() -> None:
    with pytest.raises(ValueError, match="usage"):
        fold_chat(ChatEncoder(chat_answer()).start(TALLY))
    with pytest.raises(ValueError, match="usage"):
        fold_completion([])


def test_each_choice_is_the_fold_of_its_chunks_in_any_order() -> None:
    answer = chat_answer(choices=2)
    encoders = [ChatEncoder(answer, index) for index in range(2)]
    other: Sequence[Part] = [Text("No "), Text("idea."), Ending(StopReason.END_TURN, TokenCounts(9, 9, 3))]
    made = [chunk for encoder in encoders for chunk in encoder.start(TokenCounts(9))]
    for first, second in zip_longest(TURN, other):
        made += encoders[1].encode(second) if second else []
        made += encoders[0].encode(first)
    folded = plain(fold_chat(made))
    alone = ChatEncoder(chat_answer())
    assert folded["choices"][0] == plain(fold_chat(chunk for part in TURN for chunk in alone.encode(part)))["choices"][0]
    assert folded["choices"][1]["message"]["content"] == "No idea."
    assert [choice["index"] for choice in folded["choices"]] == [0, 1]
    assert (folded["usage"]["prompt_tokens"], folded["usage"]["completion_tokens"]) == (9, 10)
    assert folded["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}
    assert [bool(chunk.choices) for chunk in made] == [True] * (len(made) - 1) + [False]


def test_the_older_form_of_a_call_is_folded_too() -> None:
    encoder = ChatEncoder(chat_answer(), older=True)
    parts: Sequence[Part] = [*TURN[5:9], Ending(StopReason.TOOL_USE, TALLY)]
    choice = plain(fold_chat(chunk for part in parts for chunk in encoder.encode(part)))["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "function_call": {"name": "weather", "arguments": '{"place": "Ulm"}'},
    }


def test_choices_of_several_prompts_are_counted_once_for_each_prompt() -> None:
    answer = text_answer(choices=4, per_prompt=2)
    prompts = [PromptTokens([7], echo) for echo in ("Once", "Once", "", "")]
    encoders = [CompletionEncoder(answer, index) for index in range(len(prompts))]
    made = [chunk for encoder, prompt in zip(encoders, prompts, strict=True) for chunk in encoder.start(TALLY, prompt)]
    for encoder in reversed(encoders):
        made += [*encoder.encode(Text(" upon")), *encoder.encode(Ending(StopReason.END_TURN, TALLY))]
    whole = fold_completion(made)
    assert [(choice.index, choice.text) for choice in whole.choices] == [
        (0, "Once upon"), (1, "Once upon"), (2, " upon"), (3, " upon"),
    ]  # fmt: skip
    assert (plain(whole.usage)["prompt_tokens"], plain(whole.usage)["completion_tokens"]) == (18, 28)


SCRIPTS = {
    "text": "Hello there, dear world.",
    "reasoning": "<think>\nIt rains.\n</think>\n\nTake a coat.",
    "call": "I look. " + dialects.DEFAULT.encode_calls([ToolCall("", "find", {"place": "Ulm", "days": [1, 2]})]),
    "calls": dialects.DEFAULT.encode_calls([ToolCall("", "find", {}), ToolCall("", "now", {"zone": 'a\n"é🦊\\'})]),
}


@pytest.mark.clause("OAI-1")
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_answer_is_what_the_sdk_makes_of_the_stream_at_every_split(name: str, older: bool, cut: bool) -> None:
    policy = AnswerPolicy(
        tools=(Tool("find", "", {"type": "object"}), Tool("now", "", {"type": "object"})),
        tool_policy=ToolPolicy(parallel=not older),
    )
    output = SCRIPTS[name][: len(SCRIPTS[name]) * 3 // 4] if cut else SCRIPTS[name]

    def read(pieces: Sequence[str]) -> object:
        parser, policies = dialects.DEFAULT.parser(policy.schemas, thinking_open=False), OutputPolicies(policy)
        parts: list[Part] = []
        for piece in pieces:
            if policies.end_cause is None:  # with the older form, the first call ends the answer
                parts += policies.apply(parser.feed(piece))
        if policies.end_cause is None:
            parts += [*policies.apply(parser.finish(cut=cut)), *policies.flush()]
        encoder = ChatEncoder(chat_answer(), older=older)
        ending = Ending(StopReason.MAX_TOKENS if cut else StopReason.END_TURN, TALLY)
        made = [*encoder.start(TALLY), *(chunk for part in [*parts, ending] for chunk in encoder.encode(part))]
        whole = ChatCompletionModel.model_validate_json(msgspec.json.encode(fold_chat(made)), strict=True)
        assert folded_by_sdk(made) == essence(whole)
        return essence(whole)

    same_at_every_split(read, output)


def folded_by_sdk(made: Sequence[ChatChunk]) -> object:
    """What the SDK's accumulator makes of the chunks, each valid for the SDK."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in made:
        state.handle_chunk(ChunkModel.model_validate_json(msgspec.json.encode(chunk), strict=True))
    return essence(state.current_completion_snapshot, drop=("index",))


def essence(answer: Any, drop: Sequence[str] = ()) -> object:
    """An answer without random ids, fields that are null, and what the SDK adds or leaves empty."""
    [choice] = answer.choices
    message = choice.message.model_dump(exclude_none=True)
    for call in message.get("tool_calls", ()):
        call.pop("id")
        for name in drop:
            call.pop(name, None)
        call["function"].pop("parsed_arguments", None)
    message["content"] = message.get("content") or ""
    return message, choice.finish_reason, answer.usage
