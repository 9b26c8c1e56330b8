"""Requests for the checks: small bodies, and one with everything that Claude Code sends at once."""

from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]

GREEDY = {"temperature": 0}


def user(content: str | Sequence[Object]) -> Object:
    """A user message."""
    return {"role": "user", "content": content}


def assistant(content: str | Sequence[Object]) -> Object:
    """An assistant message."""
    return {"role": "assistant", "content": content}


def system(content: str | Sequence[Object]) -> Object:
    """A system message inside a conversation."""
    return {"role": "system", "content": content}


def text(words: str, **fields: Any) -> Object:
    """A text block."""
    return {"type": "text", "text": words, **fields}


def call(identifier: str, name: str, arguments: Object) -> Object:
    """A `tool_use` block, as a client sends it back."""
    return {"type": "tool_use", "id": identifier, "name": name, "input": arguments}


def result(identifier: str, **fields: Any) -> Object:
    """A `tool_result` block."""
    return {"type": "tool_result", "tool_use_id": identifier, **fields}


def closed(**properties: Any) -> Object:
    """The schema of an object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def tool(name: str, description: str, properties: Object, **fields: Any) -> Object:
    """A tool with all its properties required."""
    return {"name": name, "description": description, "input_schema": closed(**properties), **fields}


def body(*messages: Object, **fields: Any) -> Object:
    """A small greedy request; `temperature=None` leaves the sampling to the server."""
    request = {"max_tokens": 24, "messages": list(messages) or [user("Say hello.")], **GREEDY, **fields}
    return {name: value for name, value in request.items() if value is not None}


PLACE = {"type": "string", "enum": ["Ulm", "Bonn"]}  # a small model must come to an end
WEATHER = tool(
    "get_weather", "The weather in a place.", {"place": PLACE, "days": {"type": "integer", "minimum": 1, "maximum": 9}}
)
CLOCK = tool("get_time", "The time in a place.", {"place": PLACE})
TOOLS = [WEATHER, CLOCK]
ASK_WEATHER = user("What is the weather in Ulm tomorrow? Use get_weather.")
ASK_TIME = user("What time is it in Ulm? Use get_time.")


def forced(name: str | None = None, **choice: Any) -> Object:
    """A request that must be answered with a call of any tool, or of the named one."""
    wanted = {"type": "tool", "name": name} if name else {"type": "any"}
    question = ASK_TIME if name == "get_time" else ASK_WEATHER
    return body(question, tools=TOOLS, tool_choice={**wanted, **choice}, max_tokens=64)


BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,mid-conversation-tool-changes-2026-07-01,"
    "thinking-token-count-2026-05-13,advanced-tool-use-2025-11-20,effort-2025-11-24,thinking-display-updates-2026-08-18"
)
"""The betas that Claude Code sends in `anthropic-beta`."""

_TASKS = {
    "Agent": "Start another agent on a task of its own.",
    "Bash": "Run a command in the shell.",
    "Edit": "Replace a piece of text in a file.",
    "Glob": "Find files by a pattern.",
    "Grep": "Find lines by a pattern.",
    "NotebookEdit": "Edit a cell of a notebook.",
    "Read": "Read a file.",
    "Skill": "Use a skill.",
    "TodoWrite": "Keep a list of what is to be done.",
    "WebFetch": "Read a page.",
    "Write": "Write a file.",
}
_SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "Where.", "pattern": "^/"},
        "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
        "limit": {"type": "integer", "exclusiveMinimum": 0},
    },
    "required": ["path"],
    "additionalProperties": False,
}
AGENT_TOOLS: Sequence[Object] = [
    *({"name": name, "description": what, "input_schema": _SCHEMA} for name, what in _TASKS.items()),
    {"name": "DeferredToolPlaceholder", "description": "-", "input_schema": {"type": "object"}, "defer_loading": True},
]


def billing(fingerprint: str) -> str:
    """The first system line of Claude Code, different for each conversation (CC-4)."""
    return f"x-anthropic-billing-header: cc_version=2.1.330.{fingerprint}; cc_entrypoint=sdk-cli;"


def agent(*messages: Object, fingerprint: str = "a1f", nonce: str = "") -> Object:
    """A request like Claude Code's, with shorter texts: twelve tools, three system blocks, a system message after the user's.

    Bodies with the same `nonce` share everything before their messages but the billing line.
    """
    marked = {"cache_control": {"type": "ephemeral"}}
    return {
        "max_tokens": 16,
        "thinking": {"type": "adaptive", "display": "updates"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": '{"device_id": "0", "account_uuid": "", "session_id": "doctor"}'},
        "system": [
            text(billing(fingerprint)),
            text(f"You are an agent that helps with software. {nonce}".strip(), **marked),
            text("Work carefully. Look before you write, and test what you wrote. " * 4, **marked),
        ],
        "tools": list(AGENT_TOOLS),
        "messages": list(messages),
    }


REMINDER = text("<system-reminder>\nThe folder is not a repository.\n</system-reminder>")
ENVIRONMENT = "# Environment\nLinux, bash. Today is a Monday. Tools that can be searched for: CronList, CronCreate."


def first_turns(*, marked: bool = True) -> list[Object]:
    """The first two messages of a session. Without the cache mark, which moves on, the second is a plain string."""
    block = text(ENVIRONMENT, cache_control={"type": "ephemeral"})
    return [user([REMINDER, text("Say hello in one word.")]), system([block] if marked else ENVIRONMENT)]
