"""Tools that are added and removed in messages: what is refused, and what the answer may call."""

import itertools
from typing import Any

import pytest

from dragoman.api.anthropic.request import MessagesRequest
from dragoman.conversation import Text

from .bodies import assistant, body, by_clause, error_of, read, result, system, text, tool, user
from .bodies import call as called

BETA = "mid-conversation-tool-changes-2026-07-01"
READ, FIND, LAST = tool("read"), tool("find", defer_loading=True), tool("last", defer_loading=True)
PATH = "messages.1.content.0"


def reference(name: str) -> dict[str, Any]:
    return {"type": "tool_reference", "name": name}


def add(name: str) -> dict[str, Any]:
    return {"type": "tool_addition", "tool": reference(name)}


def remove(name: str) -> dict[str, Any]:
    return {"type": "tool_removal", "tool": reference(name)}


def define(**fields: Any) -> dict[str, Any]:
    return {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": tool("new", **fields)}}


def asked(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return body(user("Hi"), system(*blocks), **({"tools": [READ, FIND, LAST]} | fields))


REFUSED = [
    ("IN-14", asked({"type": "tool_addition"}), f"{PATH}.tool_addition.tool: Field required"),
    ("IN-14", asked({"type": "tool_removal", "tool": "find"}), f"{PATH}.tool_removal.tool: Input should be an object"),
    (
        "IN-14",
        asked(add("find") | {"tool": {"type": "tool_reference"}}),
        (f"{PATH}.tool_addition.tool.tool_reference.name: Field required"),
    ),
    (
        "IN-14",
        asked({"type": "tool_removal", "tool": define()["tool"]}),
        (
            f"{PATH}.tool_removal.tool: Input tag 'tool_definition' "
            "found using 'type' does not match any of the expected tags: 'tool_reference', 'mcp_tool_reference', "
            "'mcp_toolset_reference'"
        ),
    ),
    (
        "TOOL-16",
        asked(add("lost")),
        (f"{PATH}.tool_addition.tool.tool_reference.name: Tool reference 'lost' not found in available tools"),
    ),
    (
        "TOOL-16",
        asked(remove("lost")),
        (f"{PATH}.tool_removal.tool.tool_reference.name: Tool reference 'lost' not found in available tools"),
    ),
    (
        "TOOL-16",
        asked(add("new"), define()),
        (f"{PATH}.tool_addition.tool.tool_reference.name: Tool reference 'new' not found in available tools"),
    ),
    (
        "TOOL-3",
        asked(define(schema={"type": "array"})),
        (f"{PATH}.tool_addition.tool.tool_definition.definition.custom.input_schema.type: Input should be 'object'"),
    ),
    (
        "TOOL-15",
        asked({"type": "tool_addition", "tool": {"type": "mcp_toolset_reference", "server_name": "s"}}),
        (
            f"{PATH}.tool_addition.tool.type: mcp_toolset_reference names a tool of an MCP server, "
            "which cannot be added or removed in a message on this server"
        ),
    ),
    (
        "IN-14",
        body(user(text("Hi"), add("find")), tools=[READ, FIND]),
        ("messages.0.content.1: `tool_addition` blocks can only be in `system` messages"),
    ),
    (
        "TOOL-6",
        asked(add("find"), remove("read"), tool_choice={"type": "tool", "name": "read"}),
        ("tool_choice: Tool 'read' not found in provided tools"),
    ),
    (
        "TOOL-6",
        asked(add("find"), tool_choice={"type": "tool", "name": "last"}),
        ("tool_choice: Tool 'last' not found in provided tools"),
    ),
    (
        "TOOL-6",
        asked(remove("read"), tools=[READ], tool_choice={"type": "any"}),
        ("tool_choice: any needs `tools`, but there are none"),
    ),
]


@pytest.mark.parametrize(("source", "message"), by_clause(REFUSED))
def test_an_invalid_change_is_refused_at_its_path(source: dict[str, Any], message: str) -> None:
    assert error_of(source, MessagesRequest, BETA) == message


OFFERS: dict[str, tuple[list[dict[str, Any]], list[str], list[str]]] = {
    # changes, tools at the top, tools that can be called
    "none": ([], ["read"], ["read", "find", "last"]),  # nothing shows that this conversation adds tools later
    "an addition": ([add("find")], ["read"], ["read", "find"]),
    "an addition of what is there": ([add("read")], ["read"], ["read"]),
    "a removal": ([remove("read"), add("last")], ["read"], ["last"]),
    "a removal of what is not there": ([remove("find")], ["read"], ["read"]),
    "a removal taken back": ([remove("read"), add("read")], ["read"], ["read"]),
    "an addition taken back": ([add("find"), remove("find")], ["read"], ["read"]),
    "a definition": ([define()], ["read"], ["read", "new"]),
    "a definition taken back": ([define(), remove("new")], ["read"], ["read"]),
    "a definition, removed and added": ([define(), remove("new"), add("new")], ["read"], ["read", "new"]),
}


@pytest.mark.clause("IN-14", "TOOL-12")
@pytest.mark.parametrize(("changes", "top", "callable_"), OFFERS.values(), ids=OFFERS)
def test_the_callable_tools_at_the_end_follow_from_the_changes(
    changes: list[dict[str, Any]], top: list[str], callable_: list[str]
) -> None:
    conversation = read(asked(text("News."), *changes), MessagesRequest, BETA)
    assert [tool.name for tool in conversation.dialogue.tools] == top
    assert [tool.name for tool in conversation.policy.tools] == callable_
    assert list(conversation.policy.schemas) == callable_


@pytest.mark.clause("IN-14")
def test_a_tool_that_is_defined_again_has_its_new_schema_from_then_on() -> None:
    newer = {"type": "object", "properties": {"x": {"type": "integer"}}}
    again = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": tool("read", newer)}}
    conversation = read(asked(again), MessagesRequest, BETA)
    assert conversation.policy.schemas["read"] == newer
    assert conversation.dialogue.tools[0].schema == READ["input_schema"]


@pytest.mark.clause("IN-14", "TOOL-12")
def test_a_tool_that_a_search_found_stays_callable_after_another_one_was_added() -> None:
    found = {"type": "tool_reference", "tool_name": "last"}
    messages = [user("Hi"), assistant(called("a", "read")), user(result("a", content=[found])), system(add("find"))]
    conversation = read(body(*messages, tools=[READ, FIND, LAST]))
    assert list(conversation.policy.schemas) == ["read", "last", "find"]


@pytest.mark.clause("IN-14", "CACHE-4")
def test_a_change_is_described_in_its_message_and_does_not_change_earlier_turns() -> None:
    messages = [
        user("Hi"),
        system(text("News."), add("find")),
        assistant("Yes."),
        user("So?"),
        system(remove("find"), define()),
    ]
    turns = [read(body(*messages[:end], tools=[READ, FIND]), MessagesRequest, BETA) for end in (1, 2, 4, 5)]
    for before, after in itertools.pairwise(turns):
        assert after.dialogue.tools == before.dialogue.tools
        assert list(after.dialogue.turns)[: len(before.dialogue.turns)] == list(before.dialogue.turns)
    described = "<function>{}</function>"
    first, second = turns[1].dialogue.turns[-1].content, turns[3].dialogue.turns[-1].content
    find = described.format('{"name": "find", "description": "", "parameters": {"type": "object", "properties": {}}}')
    assert first == (Text("News."), Text(f"The tool find is now available:\n{find}"))
    new = described.format('{"name": "new", "description": "", "parameters": {"type": "object", "properties": {}}}')
    assert second == (Text("The tool find is no longer available."), Text(f"The tool new is now available:\n{new}"))
    assert turns[3].dialogue.notes == ("tools changed in messages: 2 added, 1 removed",)
