"""An agent's session in the form of Claude Code's requests, small enough for a window of 8,192 tokens.

As with the real client, details without meaning change from one request to the next: the billing line, the place of
`cache_control`, a string instead of a list with one text, the order of a call's keys.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

Json = dict[str, Any]

_EPHEMERAL = {"cache_control": {"type": "ephemeral"}}
_RULES = (
    "Read a file before you change it. Keep the change small. Run the tests when you are done, and say plainly what you saw. "
    "Never write a secret into a file, never delete what you did not make, and ask where a command cannot be undone. "
)


def _tool(name: str, does: str, **properties: Json) -> Json:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": list(properties)[:1],
        "additionalProperties": False,
    }
    return {"name": name, "description": f"{does} {_RULES}", "input_schema": schema}


_PATH = {"type": "string", "description": "The absolute path of the file"}
TOOLS = (
    _tool("Bash", "Runs a command.", command={"type": "string"}, timeout={"type": "number", "maximum": 600_000}),
    _tool(
        "Edit",
        "Replaces text in a file.",
        file_path=_PATH,
        old_string={"type": "string"},
        new_string={"type": "string"},
        replace_all={"type": "boolean", "default": False},
    ),
    _tool("Glob", "Finds files by a pattern.", pattern={"type": "string"}, path={"type": "string"}),
    _tool("Grep", "Finds text in files.", pattern={"type": "string"}, output_mode={"enum": ["content", "count"]}),
    _tool("Read", "Reads a file.", file_path=_PATH, offset={"type": "integer", "minimum": 0}, limit={"type": "integer"}),
    _tool("Write", "Writes a file.", file_path=_PATH, content={"type": "string"}),
)


def _use(number: int, name: str, **fields: Any) -> Json:
    return {"type": "tool_use", "id": f"toolu_{number:02}", "name": name, "input": fields}


def _result(number: int, content: str, **fields: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": f"toolu_{number:02}", "content": content, **fields}


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _thought(text: str) -> Json:
    return {"type": "thinking", "thinking": text, "signature": "c2lnbmVk"}


def _listing(mark: str, lines: int = 24) -> str:
    return "\n".join(f"{line:6d}\tdef {mark}_{line}(value: int) -> int: return value + {line}" for line in range(1, lines))


_EDIT = {"file_path": "/project/parser.py", "old_string": "value + 7", "new_string": "value + 8"}

EXCHANGES: Sequence[tuple[list[Json], list[Json]]] = (
    (
        [_thought("First the files."), _text("I look around."), _use(1, "Bash", command="ls -a")],
        [_result(1, "parser.py\ntests", is_error=False)],
    ),
    (
        [_text("Two at once."), _use(2, "Read", file_path="/project/parser.py"), _use(3, "Grep", pattern="value")],
        [_result(2, _listing("parse")), _result(3, _listing("check"))],
    ),
    (  # normalised: the model had not written `replace_all`
        [_thought("Line 7 is wrong."), _use(4, "Edit", replace_all=False, **_EDIT)],
        [_result(4, "The file /project/parser.py has been updated.")],
    ),
    ([_use(5, "Bash", command="pytest -q")], [_result(5, "Exit code 1\n" + _listing("failure", 8), is_error=True)]),
    (
        [_text("One is left."), _use(6, "Read", file_path="/project/tests")],
        [_result(6, "<tool_use_error>It is a folder.</tool_use_error>", is_error=True)],
    ),
    (
        [_text("I mended it in part.")],
        [_text("Go on until it works."), _text("<system-reminder>The list is empty.</system-reminder>")],
    ),
    (
        [_thought("Again."), _use(7, "Glob", pattern="**/*.py")],
        [_result(7, "/project/parser.py\n/project/tests/test_parser.py")],
    ),
    (
        [_use(8, "Write", file_path="/project/notes.md", content="Line 7 — “mended”.")],
        [_result(8, "File created at: /project/notes.md")],
    ),
    ([_use(9, "Bash", command="pytest -q")], [_result(9, "9 passed", is_error=False)]),
)


def requests(mark: str, task: str = "Mend the parser.", max_tokens: int = 16) -> list[Json]:
    """The bodies of a session's requests in order. `mark` makes them new to every cache.

    Two sessions with one mark and different tasks share the system prompt and the tools, as a sub-agent and its parent may.
    """
    reminders = [_text("<system-reminder>\nThe repository is clean, on main.\n</system-reminder>"), _text(task)]
    late = "Environment: Linux, Python 3.11. Today is Monday. Deferred tools: CronList, WebFetch. " + _RULES
    history: list[Json] = [{"role": "user", "content": reminders}, {"role": "system", "content": [_text(late)]}]
    bodies = [_request(mark, 0, history, max_tokens)]
    for number, (answer, reply) in enumerate(EXCHANGES, 1):
        history += [{"role": "assistant", "content": answer}, {"role": "user", "content": reply}]
        bodies.append(_request(mark, number, history, max_tokens))
    return bodies


def _request(mark: str, number: int, history: Sequence[Json], max_tokens: int) -> Json:
    messages = deepcopy(list(history))
    for message in messages[:-1]:  # only the content with the cache mark stays a list
        match message["content"]:
            case [{"type": "text", "text": text}]:
                message["content"] = text
    messages[-1]["content"][-1] |= _EPHEMERAL
    system = [
        _text(f"x-anthropic-billing-header: cc_version=2.1.330.{number:03x}; cc_entrypoint=sdk-cli;"),
        {**_text("You are an agent that works in a terminal."), **_EPHEMERAL},
        {**_text(f"Session {mark}. " + _RULES * 5), **_EPHEMERAL},
    ]
    return {
        "model": "claude-bench",
        "max_tokens": max_tokens,
        "temperature": 0,
        "system": system,
        "tools": TOOLS,
        "messages": messages,
        "metadata": {"user_id": f"session_{mark}"},
    }
