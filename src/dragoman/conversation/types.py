"""The nouns of a conversation. Frozen values: lowering makes them, everything below reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

JsonObject = Mapping[str, Any]
"""JSON that is passed through: key order is the client's and is kept."""


class Role(StrEnum):
    """Who speaks. A system turn may stand anywhere (REQ-11)."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning of an earlier turn, as the client sent it back."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the assistant made. `input` keeps the client's key order."""

    id: str
    name: str
    input: JsonObject


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to a call. `name` is the called tool's, looked up while lowering; empty content is an answer too (IN-8)."""

    call_id: str
    name: str
    text: str
    is_error: bool

    @property
    def outcome(self) -> str:
        """What the model reads. A failed call says so in a word, since no template and no format has a place for it."""
        return f"Error: {self.text}" if self.is_error else self.text


Content = Text | Thinking | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    """What one role says before another speaks. Neighbours never share a role (REQ-6)."""

    role: Role
    content: Sequence[Content]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool on offer. `schema` is the JSON Schema of its input, keys in the order they came.

    With `strict`, a call of it is valid by that schema (TOOL-11).
    """

    name: str
    description: str
    schema: JsonObject
    strict: bool = False

    @property
    def function(self) -> dict[str, Any]:
        """The shape in which models were trained to read tools."""
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": self.schema},
        }


class ToolChoice(StrEnum):
    """What the model may do with the tools (TOOL-4)."""

    AUTO = "auto"
    ANY = "any"
    TOOL = "tool"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """`name` is set for `TOOL` only. `parallel`: may one turn hold more than one call (TOOL-7)?"""

    choice: ToolChoice = ToolChoice.AUTO
    name: str | None = None
    parallel: bool = True

    @property
    def forced(self) -> bool:
        """Must the model call a tool (TOOL-5)?"""
        return self.choice in (ToolChoice.ANY, ToolChoice.TOOL)


class ThinkingDisplay(StrEnum):
    """How reasoning is shown (THK-8)."""

    FULL = "full"
    OMITTED = "omitted"


@dataclass(frozen=True, slots=True)
class ThinkingPolicy:
    """Whether the model is asked to reason first. `budget` is in tokens, None where the client left it open."""

    enabled: bool = False
    budget: int | None = None
    display: ThinkingDisplay = ThinkingDisplay.FULL
    effort: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """None means: the engine's choice for this model. All but the first three are in the OpenAI-compatible API only."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """What the client chose, by its usual names."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that is asked of the model.

    `max_tokens` of 0 means: read the prompt, write nothing (REQ-3). `tools` are those in the list at the top. `waiting` can be
    called and are not in that list: the model learns of them from a result or a system turn (TOOL-12, IN-14); one of the
    name of a tool at the top replaces it. `withdrawn` are names of tools at the top that cannot be called any more (IN-14).
    `output` is the JSON Schema of the answer (STR-1).
    `notes` say, for the log, what of the request the model does not get.
    """

    turns: Sequence[Turn]
    system: Sequence[Text] = ()
    tools: Sequence[Tool] = ()
    waiting: Sequence[Tool] = ()
    withdrawn: frozenset[str] = frozenset()
    tool_policy: ToolPolicy = field(default_factory=ToolPolicy)
    thinking: ThinkingPolicy = field(default_factory=ThinkingPolicy)
    sampling: Sampling = field(default_factory=Sampling)
    stop_sequences: Sequence[str] = ()
    max_tokens: int = 0
    output: JsonObject | None = None
    notes: Sequence[str] = ()

    @property
    def callable(self) -> Sequence[Tool]:
        """All tools that can be called, whether the model has heard of them or not."""
        by_name = {tool.name: tool for tool in (*self.tools, *self.waiting)}
        return [tool for name, tool in by_name.items() if name not in self.withdrawn]

    @property
    def schemas(self) -> Mapping[str, JsonObject]:
        """What a call may name, and the schema of its input; no other text is a call."""
        return {tool.name: tool.schema for tool in self.callable}
