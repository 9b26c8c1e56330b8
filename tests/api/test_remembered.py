"""The items of requests are remembered, and a request is read as it would be without that."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from dragoman.api import remembered
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import MessagesRequest
from dragoman.api.base import invalid_request, parse, unknown_fields
from dragoman.errors import InvalidRequest
from dragoman.kept import Kept

from .bodies import assistant, body, call, result, text, tool, user
from .mutated_bodies import mutated

TALK = [user("Hi"), assistant(text("I look."), call("a", "read")), user(result("a", content="noon"))]


def _parsed(*messages: Any, **fields: Any) -> MessagesRequest:
    return parse(MessagesRequest, json.dumps(body(*messages, **fields)).encode())


def test_the_items_of_a_conversation_that_grows_are_the_same_objects() -> None:
    first, second = _parsed(*TALK, tools=[tool("read")]), _parsed(*TALK, user("So?"), tools=[tool("read")])
    assert [a is b for a, b in zip(first.messages, second.messages[:-1], strict=True)] == [True] * len(TALK)
    assert first.tools
    assert second.tools
    assert first.tools[0] is second.tools[0]
    before, after = lower(first).dialogue, lower(second).dialogue
    for earlier, later in zip(before.turns[:-1], after.turns, strict=False):
        assert all(a is b for a, b in zip(earlier.content, later.content, strict=True))
    assert before.tools[0] is after.tools[0]


def test_the_result_of_a_call_has_the_name_of_the_tool_in_its_own_request() -> None:
    named = [lower(_parsed(TALK[0], assistant(call("a", name)), TALK[2])).dialogue.turns[-1] for name in ("f", "g", "f")]
    assert [getattr(turn.content[0], "name", "") for turn in named] == ["f", "g", "f"]


@pytest.mark.clause("BETA-2")
def test_unknown_fields_of_remembered_items_are_found_in_each_request() -> None:
    odd = [user({**text("Hi"), "odd": 1})]
    assert [list(unknown_fields(_parsed(*odd, extra=1))) for _ in range(2)] == [["extra", "messages.content.odd"]] * 2


@pytest.mark.clause("ERR-9")
def test_a_body_is_read_and_refused_as_without_memory() -> None:
    for seed in range(300):
        content = json.dumps(mutated(seed)).encode()
        expected = _outcome(lambda kind, content: kind.model_validate_json(content), content)
        assert [_outcome(parse, content), _outcome(parse, content)] == [expected] * 2, seed


def _outcome(read: Callable[[type[MessagesRequest], bytes], MessagesRequest], content: bytes) -> MessagesRequest | str:
    try:
        return read(MessagesRequest, content)
    except ValidationError as error:
        return invalid_request(error).message
    except InvalidRequest as error:
        return error.message


def test_many_small_items_and_values_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: Kept[Any, Any] = Kept(100_000)
    monkeypatch.setattr(remembered, "_KEPT", kept)
    _parsed(*(user(f"{number}") for number in range(500)))
    assert 10 < len(list(kept.newest())) < 50
    _parsed(user(text("Hi", citations=[{}] * 500)))
    assert not list(kept.newest())


def test_a_text_with_many_brackets_takes_no_more_room_than_another() -> None:
    sizes = [
        remembered._memory(json.dumps(user(line * 1_000)).encode())
        for line in ('\\ " f([1, {2: 3}])\n', '\\ " f__1__2__3____\n')
    ]
    assert sizes[0] == sizes[1]
