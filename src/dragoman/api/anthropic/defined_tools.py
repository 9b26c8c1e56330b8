"""Tools that Anthropic defines: a client names them by a dated type, sends no schema, and runs them itself (TOOL-14).

Claude was trained on them. Other models need a description: the parameters are public, the wording is our own.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from dragoman.errors import InvalidRequest


class Definition(NamedTuple):
    """The name, description and schema of a tool, as the model gets them."""

    name: str
    description: str
    schema: dict[str, Any]


def _text(description: str) -> Mapping[str, Any]:
    return {"type": "string", "description": description}


def _choice(*commands: str) -> Mapping[str, Any]:
    return {"type": "string", "enum": list(commands), "description": "What to do."}


def _object(required: tuple[str, ...] = (), **properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_RANGE = {
    "type": "array",
    "items": {"type": "integer"},
    "minItems": 2,
    "maxItems": 2,
    "description": "For `view` of a file: the first and the last line to show, counted from 1; a last of -1 is the end.",
}
_LINE = {"type": "integer", "minimum": 0, "description": "For `insert`: the line to insert after; 0 is the top of the file."}
_FILE_TEXT = _text("For `create`: the whole content of the file.")
_OLD = _text("For `str_replace`: the text to replace, exactly as it is in the file, whitespace included. It must occur once.")

_BASH = Definition(
    "bash",
    "Run a command in a bash session and get its output. The session stays open: its folder, variables and files are still "
    "there for the next command. It has no terminal, so commands that ask something cannot be answered.",
    _object(
        command=_text("The command to run. Needed unless `restart` is true."),
        restart={"type": "boolean", "description": "True: start a fresh session instead of running a command."},
    ),
)
_EDITS = (
    "Look at and change text files. `view` shows a file with numbered lines, or lists a folder; `create` writes a new file; "
    "`str_replace` replaces a text that occurs exactly once; `insert` adds text after a line"
)
_EDITOR_WITH_UNDO = Definition(
    "str_replace_editor",
    f"{_EDITS}; `undo_edit` takes back the last change of a file.",
    _object(
        ("command", "path"),
        command=_choice("view", "create", "str_replace", "insert", "undo_edit"),
        path=_text("The file or folder, as an absolute path."),
        file_text=_FILE_TEXT,
        old_str=_OLD,
        new_str=_text("For `str_replace`: what to put there, nothing to delete. For `insert`: the text to insert."),
        insert_line=_LINE,
        view_range=_RANGE,
    ),
)
_EDITOR = Definition(
    "str_replace_based_edit_tool",
    f"{_EDITS}.",
    _object(
        ("command", "path"),
        command=_choice("view", "create", "str_replace", "insert"),
        path=_text("The file or folder."),
        file_text=_FILE_TEXT,
        old_str=_OLD,
        new_str=_text("For `str_replace`: what to put there, nothing to delete."),
        insert_line=_LINE,
        insert_text=_text("For `insert`: the text to insert."),
        view_range=_RANGE,
    ),
)
_MEMORY = Definition(
    "memory",
    "Keep notes in files under /memories, which outlast this conversation. Look there before you begin, and write down there "
    "what will be needed later. `view` shows a file or lists a folder, `create` writes a file, `str_replace` replaces a text "
    "that occurs exactly once, `insert` adds text after a line, `delete` removes a file or folder, `rename` moves it.",
    _object(
        ("command",),
        command=_choice("view", "create", "str_replace", "insert", "delete", "rename"),
        path=_text("The file or folder, under /memories. Needed for all but `rename`."),
        file_text=_FILE_TEXT,
        old_str=_OLD,
        new_str=_text("For `str_replace`: what to put there, nothing to delete."),
        insert_line=_LINE,
        insert_text=_text("For `insert`: the text to insert."),
        view_range=_RANGE,
        old_path=_text("For `rename`: where it is."),
        new_path=_text("For `rename`: where it goes."),
    ),
)

DEFINED: Mapping[str, Definition] = {
    "bash_20241022": _BASH,
    "bash_20250124": _BASH,
    "text_editor_20241022": _EDITOR_WITH_UNDO,
    "text_editor_20250124": _EDITOR_WITH_UNDO,
    "text_editor_20250429": _EDITOR,
    "text_editor_20250728": _EDITOR,
    "memory_20250818": _MEMORY,
}
"""All known versions of these tools, by type."""

_RUN_BY_THE_SERVER = ("code_execution_", "advisor_")
_NEED_VISION = ("computer_", "browser_toolset_")


def definition(type_: str, path: str) -> Definition:
    """The definition of a type. Raises `InvalidRequest` at `path`, with advice, for a type that is not supported (TOOL-15)."""
    if type_ in DEFINED:
        return DEFINED[type_]
    if type_.startswith(_RUN_BY_THE_SERVER):
        reason = (
            f"{type_} is a tool that the server runs, and this server does not: leave it out, or declare a tool of your own"
        )
    elif type_.startswith(_NEED_VISION):
        reason = f"{type_} is for models that can see a screen; this model cannot: leave it out"
    else:
        reason = f"{type_!r} is not supported; supported are 'custom' and {', '.join(map(repr, DEFINED))}"
    raise InvalidRequest.at(path, reason)
