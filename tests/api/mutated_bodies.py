"""A body with every kind of field, and random changes of it."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from .bodies import assistant, body, call, result, system, text, tool, user

PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}
VALID = body(
    user(text("Hi", cache_control={"type": "ephemeral", "ttl": "5m"})),
    assistant(
        {"type": "thinking", "thinking": "", "signature": "dgm1.AAAA"},
        {"type": "redacted_thinking", "data": "x"},
        text("I look."),
        call("a", "read", {"path": "/etc/hosts", "lines": [1, 2.5, None, True]}),
        call("b", "now"),
    ),
    user(
        result("a", content=[text("127.0.0.1"), {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}]),
        result("b", content="noon", is_error=False),
        text("So?"),
        {"type": "search_result", "source": "s", "title": "t", "content": [text("x")], "citations": {"enabled": True}},
        {"type": "document", "title": "t", "source": {"type": "content", "content": [text("x"), PICTURE]}},
    ),
    system("Be brief."),
    assistant("It is "),
    system=[text("x-anthropic-billing-header: v=1"), text("You help.")],
    tools=[
        tool(
            "read",
            {
                "type": "object",
                "properties": {"path": {"type": "string"}, "lines": {"$ref": "#/$defs/lines"}},
                "$defs": {"lines": {}},
            },
        ),
        tool("now", description="The time.", input_examples=[{}], allowed_callers=["direct"]),
        {"type": "bash_20250124", "name": "bash", "strict": False},
    ],
    tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    thinking={"type": "adaptive", "display": "omitted"},
    output_config={"effort": "low"},
    context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
    stop_sequences=["STOP"],
    metadata={"user_id": "u"},
    temperature=0.5,
    stream=True,
)

ODDITIES: list[Any] = [
    None, True, False, 0, -1, 1, 5.5, 1e308, -0.0, 10**30, "", " ", "\x00", "🦊", "text", "tool_use", "object", "auto",
    [], {}, [[]], [{}], {"": ""}, {"type": None}, {"type": "text"}, {"type": "tool_result", "tool_use_id": "a"}, "x" * 5000,
    {"type": {"type": {}}}, PICTURE, {"type": "file", "file_id": "f"},
    {"$ref": "#"},
]  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in the body with each of its keys."""
    for key, inner in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _replace(container: Any, key: Any, choose: random.Random) -> None:
    container[key] = choose.choice(ODDITIES)


def _remove(container: Any, key: Any, _: random.Random) -> None:
    del container[key]


def _repeat(container: Any, key: Any, _: random.Random) -> None:
    if isinstance(container, list):
        container.insert(key, container[key])
    else:
        container[f"{key}_"] = container[key]


def _wrap(container: Any, key: Any, choose: random.Random) -> None:
    container[key] = choose.choice([[container[key]], {"type": container[key]}, json.dumps(container[key])])


def _swap(container: Any, key: Any, choose: random.Random) -> None:
    other = choose.choice(list(container) if isinstance(container, dict) else range(len(container)))
    container[key], container[other] = container[other], container[key]


_MUTATIONS: list[Callable[[Any, Any, random.Random], None]] = [_replace, _replace, _remove, _repeat, _wrap, _swap]


def mutated(seed: int) -> dict[str, Any]:
    """The valid body with a few random changes, which depend on the seed only."""
    choose = random.Random(seed)
    changed = json.loads(json.dumps(VALID))
    for _ in range(choose.choice([1, 1, 2, 3, 5])):
        container, key = choose.choice(list(_places(changed)))
        choose.choice(_MUTATIONS)(container, key, choose)
        if not list(_places(changed)):
            break
    return changed
