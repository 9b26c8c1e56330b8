"""Tools that Anthropic defines, and the fields that all tools have."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from dragoman.api.anthropic.defined_tools import DEFINED
from dragoman.api.anthropic.request import CountTokensRequest
from dragoman.api.schemas import check_schema

from .bodies import body, by_clause, error_of, tool

BASH = {"type": "bash_20250124", "name": "bash"}
EXAMPLE = "the example does not match input_schema"
RUN_BY_THE_SERVER = "is a tool that the server runs, and this server does not: leave it out, or declare a tool of your own"
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.clause("TOOL-14")
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("bash", ["bash_20241022", "bash_20250124"]),
        ("str_replace_editor", ["text_editor_20241022", "text_editor_20250124"]),
        ("str_replace_based_edit_tool", ["text_editor_20250429", "text_editor_20250728"]),
        ("memory", ["memory_20250818"]),
    ],
)
def test_every_version_has_its_name_and_needs_no_schema(name: str, kinds: list[str]) -> None:
    assert [kind for kind, definition in DEFINED.items() if definition.name == name] == kinds
    for kind in kinds:
        fields = {"strict": True, "defer_loading": False, "allowed_callers": ["direct"], "cache_control": {"type": "ephemeral"}}
        assert error_of(body(tools=[{"type": kind, "name": name, **fields}])) == ""
        assert error_of(body(tools=[{"type": kind, "name": name}], tool_choice={"type": "tool", "name": name})) == ""


CALLS: dict[str, list[dict[str, Any]]] = {
    "bash_20250124": [{"command": "ls"}, {"restart": True}],
    "text_editor_20250124": [
        {"command": "view", "path": "/a", "view_range": [1, -1]},
        {"command": "create", "path": "/a", "file_text": "x"},
        {"command": "str_replace", "path": "/a", "old_str": "x", "new_str": ""},
        {"command": "insert", "path": "/a", "insert_line": 0, "new_str": "x"},
        {"command": "undo_edit", "path": "/a"},
    ],
    "text_editor_20250728": [
        {"command": "view", "path": "a"},
        {"command": "create", "path": "a", "file_text": "x"},
        {"command": "str_replace", "path": "a", "old_str": "x", "new_str": "y"},
        {"command": "insert", "path": "a", "insert_line": 2, "insert_text": "x"},
    ],
    "memory_20250818": [
        {"command": "view", "path": "/memories"},
        {"command": "create", "path": "/memories/a", "file_text": "x"},
        {"command": "str_replace", "path": "/memories/a", "old_str": "x", "new_str": "y"},
        {"command": "insert", "path": "/memories/a", "insert_line": 2, "insert_text": "x"},
        {"command": "delete", "path": "/memories/a"},
        {"command": "rename", "old_path": "/memories/a", "new_path": "/memories/b"},
    ],
}


@pytest.mark.clause("TOOL-14")
@pytest.mark.parametrize("kind", DEFINED)
def test_the_schemas_accept_the_calls_that_clients_support_and_no_others(kind: str) -> None:
    definition = DEFINED[kind]
    check_schema(definition.schema, kind)
    validator = jsonschema_rs.validator_for(definition.schema)
    for known, calls in CALLS.items():
        if DEFINED[known] == definition:
            assert all(validator.is_valid(call) for call in calls)
    assert not validator.is_valid({"command": 5})
    assert not validator.is_valid({"command": "view", "path": "a", "mode": "fast"})


NOT_CONFIGURED = (
    "web_search_20250305 is a tool that the server runs, and this server does not: start it with `--web-search PROVIDER`, "
    "leave the tool out, or declare a tool of your own"
)
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
FETCH = {"type": "web_fetch_20260318", "name": "web_fetch"}
TOOL_SEARCH = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}

CASES: list[tuple[str, dict[str, Any], str]] = [
    *(
        ("TOOL-15", body(tools=[tool(), {"type": kind, "name": "x"}]), f"tools.1.type: {kind} {RUN_BY_THE_SERVER}")
        for kind in ("code_execution_20260521", "advisor_20260301")
    ),
    (
        "TOOL-15",
        body(tools=[tool(), SEARCH]),
        f"tools.1.type: {NOT_CONFIGURED}",
    ),
    ("TOOL-15", body(tools=[SEARCH | {"name": "search"}]), "tools.0.name: Input should be 'web_search'"),
    (
        "TOOL-15",
        body(tools=[FETCH]),
        f"tools.0.type: {NOT_CONFIGURED}".replace("search_20250305", "fetch_20260318").replace("search PROVIDER", "fetch"),
    ),
    ("TOOL-12", body(tools=[tool(), TOOL_SEARCH]), ""),
    (
        "BETA-4",
        body(tools=[{"type": "mcp_toolset", "mcp_server_name": "a"}]),
        "tools.0.mcp_toolset.mcp_server_name: MCP server 'a' not found in `mcp_servers`",
    ),
    ("TOOL-15", body(tools=[SEARCH | {"max_uses": 0}]), "tools.0.max_uses: Input should be greater than 0"),
    *(
        (
            "TOOL-14",
            body(tools=[{"type": kind}]),
            f"tools.0.type: {kind} is for models that can see a screen; this model cannot: leave it out",
        )
        for kind in ("computer_20250124", "computer_toolset_20260801", "browser_toolset_20260801")
    ),
    (
        "TOOL-14",
        body(tools=[{"type": "function", "function": {"name": "f"}}]),
        "tools.0.type: 'function' is not supported; supported are 'custom' and " + ", ".join(f"'{kind}'" for kind in DEFINED),
    ),
    ("TOOL-14", body(tools=[BASH | {"name": "shell"}]), "tools.0.bash_20250124.name: Input should be 'bash'"),
    ("TOOL-14", body(tools=[{"type": "bash_20250124"}]), "tools.0.bash_20250124.name: Field required"),
    ("TOOL-2", body(tools=[BASH, tool("bash")]), "tools: Tool names must be unique."),
    (
        "CACHE-2",
        body(tools=[BASH | {"cache_control": {"type": "x"}}]),
        "tools.0.cache_control.type: Input should be 'ephemeral'",
    ),
    ("TOOL-12", body(tools=[tool(schema=NUMBER, input_examples=[{"n": 1}, {"n": 2}])]), ""),
    (
        "TOOL-12",
        body(tools=[tool(schema=NUMBER, input_examples=[{"n": 1}, {"n": "2"}])]),
        f'tools.0.custom.input_examples.1: {EXAMPLE}: n: the value is not of type "integer"',
    ),
    (
        "TOOL-12",
        body(tools=[tool(), tool("g", schema=NUMBER, input_examples=[{}])]),
        f'tools.1.custom.input_examples.0: {EXAMPLE}: "n" is a required property',
    ),
    (
        "TOOL-12",
        body(tools=[BASH | {"input_examples": [{"command": ["ls"]}]}]),
        f'tools.0.bash_20250124.input_examples.0: {EXAMPLE}: command: the value is not of type "string"',
    ),
    ("TOOL-12", body(tools=[tool(input_examples=["x"])]), "tools.0.custom.input_examples.0: Input should be an object"),
    ("TOOL-1", body(tools=[tool(allowed_callers=["direct", "code_execution_20260521"])]), ""),
    ("TOOL-1", body(tools=[tool(allowed_callers=[])]), ""),
    (
        "BETA-4",
        body(tools=[tool(allowed_callers=["code_execution_20260521"])]),
        "tools.0.custom.allowed_callers: must include 'direct': this server runs no code that could call tools",
    ),
]


@pytest.mark.parametrize(("source", "message"), by_clause(CASES))
def test_the_error_for_a_tool_names_it_and_gives_the_reason(source: dict[str, Any], message: str) -> None:
    assert error_of(source) == message
    assert error_of(source, CountTokensRequest) == message


@pytest.fixture
def schema_server() -> Iterator[tuple[str, list[str]]]:
    """The URL of a schema on a web server, and the paths that were requested."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/schema", paths
        server.shutdown()
        thread.join()


@pytest.mark.clause("TOOL-12")
@pytest.mark.parametrize("key", ["$ref", "$dynamicRef", "$schema"])
def test_a_reference_to_another_document_is_not_followed_to_check_an_example(
    schema_server: tuple[str, list[str]], key: str
) -> None:
    url, paths = schema_server
    for schema in ({key: url}, {"properties": {"a": {key: url}}}, {"properties": {"a": {"$id": url, key: url}}}):
        assert error_of(body(tools=[tool(schema={"type": "object", **schema}, input_examples=[{"a": 1}])])) == ""
    assert paths == []


@pytest.mark.clause("TOOL-12")
def test_a_schema_whose_references_multiply_is_not_expanded_to_check_an_example() -> None:
    steps = {f"a{number}": {"anyOf": [{"$ref": f"#/$defs/a{number + 1}"}] * 4} for number in range(20)}
    schema = {"type": "object", "$defs": {**steps, "a20": {}}, "properties": {"a": {"$ref": "#/$defs/a0"}}}
    assert error_of(body(tools=[tool(schema=schema, input_examples=[{"a": 1}])])) == ""


@pytest.mark.clause("TOOL-12")
def test_large_schemas_are_checked_and_not_cached() -> None:
    schema = NUMBER | {"description": "x" * 40_000}
    assert error_of(body(tools=[tool(schema=schema, input_examples=[{"n": 1}])])) == ""
    assert error_of(body(tools=[tool(schema=schema, input_examples=[{}])])).startswith("tools.0.custom.input_examples.0: ")
