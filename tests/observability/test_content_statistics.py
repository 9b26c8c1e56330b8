"""Statistics of the content of a request by kind."""

import json
from typing import Any

from conftest import body, user
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import MessagesRequest
from dragoman.api.base import parse
from dragoman.observability.content_statistics import content_statistics
from dragoman.observability.log_entry import Volume


def statistics(*messages: dict[str, Any], **fields: Any) -> dict[str, tuple[int, int]]:
    wanted = parse(MessagesRequest, json.dumps(body(*messages, **fields)).encode())
    return {kind: (volume.count, volume.characters) for kind, volume in content_statistics(lower(wanted)).items()}


def test_every_kind_is_counted() -> None:
    tool = {"name": "now", "input_schema": {"type": "object"}}
    call = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {"zone": "Zürich"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "noon"}]}
    found = statistics(
        user("Hi"),
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, call]},
        {"role": "user", "content": [result, {"type": "text", "text": "Well?"}]},
        system=[{"type": "text", "text": "You are."}],
        tools=[tool, {**tool, "name": "set", "defer_loading": True}],
    )
    (count, characters) = found.pop("tools")
    assert count == 2
    assert characters > 2 * len(json.dumps(tool["input_schema"]))
    assert found == {
        "system": (2, len("You are.Be brief.")),
        "text": (2, len("HiWell?")),
        "thinking": (1, len("Hm.")),
        "tool_use": (1, len('{"name":"now","input":{"zone":"Zürich"}}'.encode())),
        "tool_result": (1, len("noon")),
    }


def test_a_string_counts_like_one_block() -> None:
    assert statistics(user("Hi"), system="You are.") == statistics(
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]}, system=[{"type": "text", "text": "You are."}]
    )


def test_numbers_of_any_size_are_counted() -> None:
    assert statistics(user("Hi"), tools=[{"name": "now", "input_schema": {"maximum": 2**80}}])["tools"][0] == 1


def test_volumes_add() -> None:
    assert Volume(1, 2) + Volume(3, 4) == Volume(4, 6)
