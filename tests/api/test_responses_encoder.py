"""The encoder of the Responses API: the documented sequence of events, and the response that they fold to."""

import json
import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman import dialects
from dragoman.api.openai.custom_input import InputReader
from dragoman.api.openai.responses.encoder import LIMITS, ResponseEncoder, fold
from dragoman.api.openai.responses.response import Reply
from dragoman.conversation import AnswerPolicy, Tool
from dragoman.conversation.signature import recover
from dragoman.conversation.types import ToolCall
from dragoman.errors import DragomanError, EngineFailed, PromptTooLong
from dragoman.generation.output_policies import OutputPolicies
from dragoman.parts import (
    CallDelta,
    CallEnd,
    CallStart,
    Ending,
    Part,
    Prefill,
    ServerCallStart,
    ServerResult,
    StopReason,
    Text,
    Thinking,
    ThinkingEnd,
    TokenCounts,
)
from dragoman.parts.server_tools import SearchHit, SearchHits, ServerToolKind, ToolFailure
from splits import random_chunks, same_at_every_split

from .part_sequences import legal_parts
from .response_events import REPLY, SUMMARIZED, anonymous, collected, encode, sent, whole

COUNTS = TokenCounts(prompt=9, cached=4, output=7, thinking=2)
TURN: Sequence[Part] = [
    Prefill(9, 4, 9),
    Thinking("It may "),
    Thinking("rain."),
    ThinkingEnd("signed"),
    Text("I "),
    Text("look."),
    CallStart("weather", "toolu_1"),
    CallDelta('{"place": '),
    CallDelta('"Ulm"}'),
    CallEnd(),
    CallStart("patch", "toolu_2"),
    CallDelta('{"input": "a\\n'),
    CallDelta('b"}'),
    CallEnd(),
    Ending(StopReason.TOOL_USE, COUNTS),
]


@pytest.mark.clause("RSP-1")
def test_a_stream_has_the_documented_sequence_of_events() -> None:
    events = sent(encode(TURN))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "completed",
    ]


@pytest.mark.clause("RSP-1", "RSP-2")
def test_the_answer_has_an_item_for_each_span() -> None:
    answer = whole(encode(TURN))
    assert [answer[name] for name in ("object", "status", "completed_at", "incomplete_details")] == [
        "response",
        "completed",
        5,
        None,
    ]
    assert answer["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 16,
    }
    thought, message, call, patch = answer["output"]
    assert recover(thought["encrypted_content"]) == "It may rain."
    assert (thought["content"], thought["summary"]) == ([{"type": "reasoning_text", "text": "It may rain."}], [])
    assert message == {
        "type": "message",
        "id": "msg_…",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}],
    }
    assert call == {
        "type": "function_call",
        "id": "fc_toolu_1",
        "call_id": "toolu_1",
        "name": "weather",
        "status": "completed",
        "arguments": '{"place": "Ulm"}',
    }
    assert (patch["type"], patch["name"], patch["input"]) == ("custom_tool_call", "patch", "a\nb")


@pytest.mark.clause("RSP-7")
def test_requested_summaries_have_the_reasoning() -> None:
    events = encode([Thinking("It may "), Thinking("rain."), ThinkingEnd(), Ending(StopReason.END_TURN, COUNTS)], SUMMARIZED)
    assert [event["type"].removeprefix("response.") for event in sent(events)][2:-1] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    (thought,) = whole(events)["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "It may rain."}]
    assert "content" not in thought
    assert recover(thought["encrypted_content"]) == "It may rain."


@pytest.mark.clause("RSP-2")
@given(legal_parts(server_tools=False), st.sampled_from([REPLY, SUMMARIZED]))
def test_the_deltas_of_a_stream_give_the_answer_for_any_parts(parts: list[Part], reply: Reply) -> None:
    events = encode(parts, reply)
    answer = whole(events)
    assert collected(sent(events)) == json.loads(json.dumps(sent(events)[-1]["response"]["output"]))
    assert anonymous(json.dumps(collected(sent(events)))) == answer["output"]


SCRIPTS = {
    "text": "Hello there, dear world.",
    "reasoning": "<think>\nIt rains.\n</think>\n\nTake a coat.",
    "call": "I look. " + dialects.DEFAULT.encode_calls([ToolCall("", "find", {"place": "Ulm", "days": [1, 2]})]),
    "calls": dialects.DEFAULT.encode_calls([ToolCall("", "find", {}), ToolCall("", "patch", {"input": 'a\n"é🦊\\'})]),
    "custom": "<think>\nA patch.\n</think>\n\n" + dialects.DEFAULT.encode_calls([ToolCall("", "patch", {"input": "-a\n+b\n"})]),
    "not the form": dialects.DEFAULT.encode_calls([ToolCall("", "patch", {"text": "a", "more": 1})]),
}


@pytest.mark.clause("RSP-2", "RSP-6")
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_response_is_the_same_at_every_split_of_the_models_output(name: str, cut: bool) -> None:
    schema = {"type": "object"}
    policy = AnswerPolicy(tools=(Tool("find", "", schema), Tool("patch", "", schema)))
    output = SCRIPTS[name][: len(SCRIPTS[name]) * 3 // 4] if cut else SCRIPTS[name]

    def read(chunks: Sequence[str]) -> object:
        parser, policies = dialects.DEFAULT.parser(policy.schemas, thinking_open=False), OutputPolicies(policy)
        parts = [part for chunk in chunks for part in policies.apply(parser.feed(chunk))]
        parts += [*policies.apply(parser.finish(cut=cut)), *policies.flush()]
        events = encode([*parts, Ending(StopReason.MAX_TOKENS if cut else StopReason.END_TURN, COUNTS)])
        answer = whole(events)
        assert anonymous(json.dumps(collected(sent(events)))) == answer["output"]
        return answer

    same_at_every_split(read, output)


@pytest.mark.clause("RSP-10")
@pytest.mark.parametrize(("reason", "status"), [(reason, reason in LIMITS) for reason in StopReason])
def test_a_response_that_reached_a_limit_is_incomplete(reason: StopReason, status: bool) -> None:
    events = encode([Text("Hello"), Ending(reason, COUNTS)])
    answer = whole(events)
    expected = "incomplete" if status else "completed"
    assert sent(events)[-1]["type"] == f"response.{expected}"
    assert answer["status"] == answer["output"][0]["status"] == expected
    assert answer["incomplete_details"] == ({"reason": "max_output_tokens"} if status else None)


def test_a_call_that_was_cut_is_incomplete() -> None:
    events = encode([CallStart("f", "c"), CallDelta('{"a'), CallEnd(complete=False), Ending(StopReason.MAX_TOKENS, COUNTS)])
    (call,) = whole(events)["output"]
    assert (call["status"], call["arguments"]) == ("incomplete", '{"a')


@pytest.mark.clause("RSP-5")
def test_a_tool_of_a_namespace_has_its_own_name_and_that_of_the_namespace() -> None:
    events = encode([CallStart("crm__find", "c"), CallDelta("{}"), CallEnd(), Ending(StopReason.TOOL_USE, COUNTS)])
    (call,) = whole(events)["output"]
    assert (call["name"], call["namespace"]) == ("find", "crm")


@pytest.mark.clause("RSP-10")
@pytest.mark.parametrize(
    ("error", "code"),
    [(EngineFailed("it broke"), "server_error"), (PromptTooLong(3, 2), "context_length_exceeded")],
)
def test_a_failure_ends_the_open_item_and_the_response(error: DragomanError, code: str) -> None:
    encoder = ResponseEncoder(REPLY, lambda: 5)
    events = [*encoder.start(TokenCounts(7)), *encoder.encode(Text("Hel")), *encoder.fail(error, "req_1")]
    last = json.loads(msgspec.json.encode(events[-1]))
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {"code": code, "message": error.message}
    assert [(item["status"], item["content"][0]["text"]) for item in last["response"]["output"]] == [("incomplete", "Hel")]
    with pytest.raises(ValueError, match="ends with it"):
        fold(events)


@pytest.mark.clause("RSP-10")
def test_a_failure_before_the_response_is_an_error_event() -> None:
    (event,) = sent(ResponseEncoder(REPLY, lambda: 5).fail(EngineFailed("it broke"), "req_1"))
    assert event == {"type": "error", "sequence_number": 0, "message": "it broke", "code": None, "param": None}


@pytest.mark.clause("RSP-12")
def test_silence_is_filled_with_numbered_events() -> None:
    encoder = ResponseEncoder(REPLY, lambda: 5)
    events = [*encoder.start(TokenCounts(7)), *encoder.ping(), *encoder.encode(Text("Hi"))]
    assert [json.loads(msgspec.json.encode(event))["sequence_number"] for event in events] == list(range(len(events)))
    assert json.loads(msgspec.json.encode(events[2])) == {"type": "keepalive", "sequence_number": 2}


@pytest.mark.clause("RSP-6")
@given(st.text(), st.booleans(), st.sampled_from([None, 1]), st.integers(0, 1000))
def test_the_input_of_a_custom_call_is_read_from_any_json(text: str, ascii_only: bool, indent: int | None, seed: int) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only, indent=indent)
    reader = InputReader()
    assert "".join(map(reader.feed, random_chunks(arguments, random.Random(seed)))) + reader.finish() == text


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ("{}", "{}"),
        ('{"text": "a"}', '{"text": "a"}'),
        ('{"more": 1, "input": "a"}', "a"),
        ('{"input": {"a": 1}}', '{"input": {"a": 1}}'),
        ('{"input": "a\\ud83e', "a"),
        ('{"input": "\\ud83e\\udd8a"}', "🦊"),
        ('{"input": "\\ud83e"}', "\ufffd"),
        ('{"inp', ""),
        ("", ""),
        ("[1", "[1"),
    ],
)
def test_arguments_of_another_form_are_the_input_as_they_are(arguments: str, read: str) -> None:
    def feed(chunks: Sequence[str]) -> str:
        reader = InputReader()
        return "".join(map(reader.feed, chunks)) + reader.finish()

    assert same_at_every_split(feed, arguments) == read


@pytest.mark.clause("RSP-1", "RSP-2")
def test_searches_are_items_that_keep_their_places_until_they_have_results() -> None:
    search = ServerToolKind.WEB_SEARCH
    parts: list[Part] = []
    for call_id, query in (("srvtoolu_dgm1", "a"), ("srvtoolu_dgm2", "b")):
        parts += [ServerCallStart(search, "web_search", call_id), CallDelta(f'{{"query": "{query}"}}'), CallEnd()]
    hits = SearchHits((SearchHit("https://a.test", "A", "about a"),))
    parts += [
        ServerResult(search, "srvtoolu_dgm1", hits),
        ServerResult(search, "srvtoolu_dgm2", ToolFailure(search, "unavailable")),
    ]
    events = encode([*parts, Text("Found."), Ending(StopReason.END_TURN, COUNTS)])
    assert [(event["type"].removeprefix("response."), event["output_index"]) for event in sent(events)[2:12]] == [
        ("output_item.added", 0),
        ("web_search_call.in_progress", 0),
        ("web_search_call.searching", 0),
        ("output_item.added", 1),
        ("web_search_call.in_progress", 1),
        ("web_search_call.searching", 1),
        ("web_search_call.completed", 0),
        ("output_item.done", 0),
        ("output_item.done", 1),
        ("output_item.added", 2),
    ]
    first, second, message = sent(events)[-1]["response"]["output"]
    assert first["action"] == {
        "type": "search",
        "query": "a",
        "queries": ["a"],
        "sources": [{"type": "url", "url": "https://a.test"}],
    }
    assert (first["status"], second["status"], message["type"]) == ("completed", "failed", "message")
    assert whole(events)["output"][0]["type"] == "web_search_call"
