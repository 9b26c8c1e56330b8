"""Calls of this server's own tools in earlier answers, whole, damaged and incomplete."""

import json
from typing import Any

import msgspec
import pytest

from dragoman.api.anthropic import rules
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import MessagesRequest
from dragoman.api.anthropic.server_blocks import result_block
from dragoman.api.base import parse
from dragoman.conversation import Attachment, AttachmentKind, Role, Text, ToolCall, ToolResult, Turn
from dragoman.conversation.citations import CitationKind
from dragoman.parts.server_tools import SearchHit, SearchHits, ServerToolKind, ServerToolOutput, ToolFailure

OWN = "srvtoolu_dgm1"
CALL = {"type": "server_tool_use", "id": OWN, "name": "web_search", "input": {"query": "tides"}}
HITS = SearchHits((SearchHit("https://a.test", "A", "about a", "2 days ago"),))


def result(output: ServerToolOutput = HITS, call_id: str = OWN) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(result_block(call_id, output))
    return found


def turns(*content: dict[str, Any], after: Any = "Go on.") -> list[Turn]:
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": after},
    ]
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": messages}).encode()
    request = parse(MessagesRequest, body)
    rules.check(request)
    return list(lower(request).dialogue.turns[1:])


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def hit(words: str, context: str, place: int) -> Attachment:
    """What the model reads of the hit in a block."""
    kind, path = AttachmentKind.WEB_SEARCH_RESULT, f"messages.1.content.{place}"
    cites = CitationKind.WEB_SEARCH
    return Attachment(kind, (Text(words),), path, origin="https://a.test", title="A", context=context, cites=cites)


THE_CALL = ToolCall(OWN, "web_search", {"query": "tides"})


@pytest.mark.clause("IN-12")
def test_a_call_and_its_result_are_what_they_were() -> None:
    assert turns(text("I look."), CALL, result(), text("Found.")) == [
        Turn(Role.ASSISTANT, (Text("I look."), THE_CALL)),
        Turn(Role.USER, (ToolResult(OWN, "web_search", (hit("about a", "Age: 2 days ago", 2),), is_error=False),)),
        Turn(Role.ASSISTANT, (Text("Found."),)),
        Turn(Role.USER, (Text("Go on."),)),
    ]


@pytest.mark.clause("IN-12")
def test_a_failure_comes_back_as_a_failure() -> None:
    failure = ToolFailure(ServerToolKind.WEB_SEARCH, "max_uses_exceeded")
    (_, outcome) = turns(CALL, result(failure))
    assert outcome.content[0] == ToolResult(OWN, "web_search", (Text(failure.text),), is_error=True)
    assert outcome.content[1] == Text("Go on.")


@pytest.mark.clause("IN-12", "TOOL-8")
def test_results_follow_all_calls_of_their_round_in_the_order_of_the_calls() -> None:
    client = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}
    (said, outcome) = turns(client, CALL, result(), after=[{"type": "tool_result", "tool_use_id": "toolu_1", "content": "2"}])
    assert [part.id for part in said.content if isinstance(part, ToolCall)] == ["toolu_1", OWN]
    assert [part.call_id for part in outcome.content if isinstance(part, ToolResult)] == ["toolu_1", OWN]


@pytest.mark.clause("IN-12")
def test_a_call_whose_result_is_not_sent_back_has_a_failure() -> None:
    (_, outcome) = turns(CALL)
    assert isinstance(outcome.content[0], ToolResult)
    assert outcome.content[0].is_error


@pytest.mark.clause("IN-12")
def test_a_damaged_hit_is_what_the_client_can_see_of_it() -> None:
    damaged = result()
    damaged["content"][0]["encrypted_content"] = damaged["content"][0]["encrypted_content"][:-9]
    (_, outcome, *_) = turns(CALL, damaged, text("Found."))
    assert outcome.content == (ToolResult(OWN, "web_search", (hit("", "", 1),), is_error=False),)


@pytest.mark.clause("IN-12")
@pytest.mark.parametrize(
    "blocks",
    [
        [result()],
        [CALL | {"id": "srvtoolu_01"}, result(call_id="srvtoolu_01")],
        [CALL | {"input": "tides"}, result()],
        [CALL | {"id": 5}],
        [{"type": "web_search_tool_result", "tool_use_id": OWN, "content": [5]}],
        [{"type": "web_search_tool_result", "tool_use_id": [OWN], "content": "x"}],
    ],
)
def test_blocks_that_are_not_our_own_or_not_whole_are_text(blocks: list[dict[str, Any]]) -> None:
    (said, _) = turns(text("I look."), *blocks)
    assert {type(part) for part in said.content} == {Text}
    assert len(said.content) > 1
