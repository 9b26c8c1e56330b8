"""Blocks and characters of a request, by kind."""

import json
from typing import Any

from conftest import body, user
from dragoman.observe.census import census
from dragoman.observe.entry import Volume
from dragoman.wire.base import parse
from dragoman.wire.request import MessagesRequest


def counted(*messages: dict[str, Any], **fields: Any) -> dict[str, tuple[int, int]]:
    wanted = parse(MessagesRequest, json.dumps(body(*messages, **fields)).encode())
    return {kind: (volume.count, volume.characters) for kind, volume in census(wanted).items()}


def test_every_kind_is_counted_by_its_own_measure() -> None:
    tool = {"name": "now", "input_schema": {"type": "object"}}
    call = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {"zone": "Zürich"}}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "noon"}, image]}
    found = counted(
        user("Hi"),
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, call]},
        {"role": "user", "content": [result, {"type": "text", "text": "Well?"}]},
        system=[{"type": "text", "text": "You are."}],
        tools=[tool, tool],
    )
    lengths = {
        kind: len(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
        for kind, value in (("tools", tool), ("tool_use", call), ("image", image))
    }
    assert found == {
        "system": (2, len("You are.Be brief.")),
        "tools": (2, 2 * lengths["tools"]),
        "text": (2, len("HiWell?")),
        "thinking": (1, len("Hm.")),
        "tool_use": (1, lengths["tool_use"]),
        "tool_result": (1, len("noon")),
        "image": (1, lengths["image"]),
    }


def test_a_string_and_one_block_count_alike() -> None:
    assert counted(user("Hi"), system="You are.") == counted(
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]}, system=[{"type": "text", "text": "You are."}]
    )


def test_numbers_of_any_size_are_counted() -> None:
    assert counted(user("Hi"), tools=[{"name": "now", "input_schema": {"maximum": 2**80}}])["tools"][0] == 1


def test_volumes_add() -> None:
    assert Volume(1, 2) + Volume(3, 4) == Volume(4, 6)
