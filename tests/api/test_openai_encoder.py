"""The encoders of the OpenAI-compatible API: chunks, and the answer that they fold to."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.api.openai.completions import FINISHES
from dragoman.api.openai.encoder import ChatEncoder, CompletionEncoder, fold_chat, fold_completion
from dragoman.parts import (
    CallDelta,
    CallEnd,
    CallStart,
    Ending,
    Part,
    Prefill,
    StopReason,
    Text,
    Thinking,
    ThinkingEnd,
    TokenCounts,
)

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


def plain(value: object) -> dict[str, object]:
    """The value as the JSON that a client receives."""
    return msgspec.json.decode(msgspec.json.encode(value))


def chunks(parts: Sequence[Part], *, usage: bool = True) -> list[dict[str, object]]:
    encoder = ChatEncoder("chatcmpl-1", 5, "m", usage=usage)
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
    encoder = ChatEncoder("chatcmpl-1", 5, "m", usage=True)
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
    encoder = ChatEncoder("chatcmpl-1", 5, "m", usage=True)
    answer = fold_chat(encoder.encode(Ending(reason, TALLY)))
    assert answer.choices[0].finish_reason == FINISHES[reason]
    assert answer.choices[0].message.content == ""


@given(st.lists(st.text(min_size=1)))
def test_a_completion_is_its_text_however_it_was_split(texts: list[str]) -> None:
    encoder = CompletionEncoder("cmpl-1", 5, "m", usage=True)
    parts: list[Part] = [*map(Text, texts), Ending(StopReason.MAX_TOKENS, TALLY)]
    answer = fold_completion(chunk for part in parts for chunk in encoder.encode(part))
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("".join(texts), "length")
    assert plain(answer.usage) == USAGE


def test_a_stream_without_its_end_raises() -> None:
    with pytest.raises(ValueError, match="usage"):
        fold_chat(ChatEncoder("c", 5, "m", usage=True).start(TALLY))
    with pytest.raises(ValueError, match="usage"):
        fold_completion([])
