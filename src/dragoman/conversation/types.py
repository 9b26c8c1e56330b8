"""The types of a conversation: frozen values, made by lowering."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from itertools import groupby
from typing import Any, TypeVar

from dragoman.conversation.citations import CitationKind, CitedText, Passage
from dragoman.conversation.once import Keeping
from dragoman.conversation.server_tools import DeclaredServerTool

JsonObject = Mapping[str, Any]
"""A JSON object that keeps the client's key order."""


class Role(StrEnum):
    """The role of a turn. A system turn may be at any position (REQ-11)."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


@dataclass(frozen=True)
class Text(Keeping):
    """Text."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a form that every engine reads: PNG or JPEG, turned upright, no larger than the model wants.

    `digest` is that of `data` and of nothing else: equal digests mean equal images.
    """

    data: bytes
    media_type: str
    digest: str


@dataclass(frozen=True)
class Inline:
    """Data in the request: base64, not decoded yet, and the media type that the client declares, which may be wrong."""

    data: str
    media_type: str

    @cached_property
    def digest(self) -> str:
        """The digest of the base64, computed once: a millisecond per megabyte."""
        return sha256(self.data.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Url:
    """A URL from the client; it may be anything."""

    url: str


@dataclass(frozen=True, slots=True)
class FileId:
    """The id of an uploaded file."""

    file_id: str


class AttachmentKind(StrEnum):
    """The kinds of attachments, named after their blocks in the Messages API."""

    IMAGE = "image"
    DOCUMENT = "document"
    SEARCH_RESULT = "search_result"
    WEB_SEARCH_RESULT = "web_search_result"


@dataclass(frozen=True, slots=True)
class Attachment:
    """An image, a document or a search result as the client sent it; `dragoman.media` puts text and images in its place.

    `source` is a sequence if it consists of text and images already. `path` is its place in the request, and `field` that of
    its data in it, for errors. `origin`, `title` and `context` are empty if there are none. `full_size`: the client prefers an
    error to an image that is scaled down. `cites`: the answer may cite it, by such places; those of a file are known once it
    is read.
    """

    kind: AttachmentKind
    source: "Inline | Url | FileId | Sequence[Text | Attachment]"
    path: str
    field: str = ""
    origin: str = ""
    title: str = ""
    context: str = ""
    full_size: bool = False
    cites: CitationKind | None = None


@dataclass(frozen=True)
class Thinking(Keeping):
    """Reasoning of an earlier answer, as the client sent it back."""

    text: str


@dataclass(frozen=True)
class ToolCall(Keeping):
    """A tool call of the assistant. `input` keeps the client's key order."""

    id: str
    name: str
    input: JsonObject


@dataclass(frozen=True)
class ToolResult(Keeping):
    """The result of a call. `name` is that of the called tool, found in lowering; empty content is a valid result (IN-8).

    No two texts are adjacent in `content`: they are joined by a newline.
    """

    call_id: str
    name: str
    content: "Sequence[Text | Image | Attachment]"
    is_error: bool

    @classmethod
    def of_text(cls, call_id: str, name: str, text: str, *, is_error: bool = False) -> "ToolResult":
        """A result that is only text."""
        return cls(call_id, name, (Text(text),) if text else (), is_error)

    @property
    def text(self) -> str:
        """The text of the result, without its images."""
        return "\n".join(part.text for part in self.content if isinstance(part, Text))

    @property
    def outcome(self) -> str:
        """The text for the model. Templates and formats have no field for a failure, so it is marked in the text."""
        return f"Error: {self.text}" if self.is_error else self.text


P = TypeVar("P", Image, Attachment, Image | Attachment)


def join_texts(parts: "Iterable[Text | P]") -> "tuple[Text | P, ...]":
    """The parts with each group of adjacent texts joined by newlines; an empty text alone is left out."""
    given = tuple(parts)
    if len(given) == 1 and isinstance(given[0], Text):  # nearly every result of a tool
        return given if given[0].text else ()
    joined: list[Text | P] = []
    for is_text, run in groupby(given, key=lambda part: isinstance(part, Text)):
        if is_text:
            words = "\n".join(part.text for part in run if isinstance(part, Text))
            joined += [Text(words)] if words else []
        else:
            joined += run
    return tuple(joined)


Content = Text | CitedText | Image | Attachment | Thinking | ToolCall | ToolResult
"""The content of a turn. Only lowering makes attachments and cited texts; prompts are rendered without any."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Adjacent messages of one role. Two adjacent turns never have the same role (REQ-6)."""

    role: Role
    content: Sequence[Content]


@dataclass(frozen=True)
class Tool(Keeping):
    """A declared tool. `schema` is the JSON Schema of its input, in the client's key order.

    With `strict`, calls always match that schema (TOOL-11).
    """

    name: str
    description: str
    schema: JsonObject
    strict: bool = False

    @property
    def function(self) -> dict[str, Any]:
        """The tool in OpenAI's JSON form, on which models were trained."""
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": self.schema},
        }


class ToolChoice(StrEnum):
    """The types of tool choice (TOOL-4)."""

    AUTO = "auto"
    ANY = "any"
    TOOL = "tool"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """The tool choice. `name` is set for `TOOL` only. `parallel`: an answer may contain several calls (TOOL-7)."""

    choice: ToolChoice = ToolChoice.AUTO
    name: str | None = None
    parallel: bool = True

    @property
    def forced(self) -> bool:
        """Whether the model must call a tool (TOOL-5)."""
        return self.choice in (ToolChoice.ANY, ToolChoice.TOOL)


class ThinkingDisplay(StrEnum):
    """The ways of displaying reasoning to the client (THK-8)."""

    FULL = "full"
    OMITTED = "omitted"


@dataclass(frozen=True, slots=True)
class ThinkingPolicy:
    """Whether the model should reason first. `budget` is in tokens, None for no budget."""

    enabled: bool = False
    budget: int | None = None
    display: ThinkingDisplay = ThinkingDisplay.FULL
    effort: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. None means the engine's default for the model. Only the first three are in the Messages API."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    """What is added to the logits of tokens, by token id in decimal digits."""

    @property
    def chosen(self) -> dict[str, Any]:
        """The parameters that the client set, by name."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What was said: system text, turns, and the tools that are listed at the top of the prompt.

    `attachments` is the number of attachments in the turns, at the top, in results and in other attachments. `newest` is the
    beginning of the paths in the newest message of the user or of a tool: what is older must not make a request fail.
    `notes` say, for the log, what the model does not get. `passages` are what the answer may cite, and `replaced` is how many
    attachments of each kind had the turns in which text and images are in their place.
    """

    turns: Sequence[Turn] = ()
    system: Sequence[Text] = ()
    tools: Sequence[Tool] = ()
    attachments: int = 0
    newest: str = ""
    notes: Sequence[str] = ()
    passages: Sequence[Passage] = ()
    replaced: Mapping[AttachmentKind, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenReport:
    """What the answer reports of its tokens.

    `ids`: the token ids of the prompt and of the answer. `top`: the log-probability of each token of the answer, and those of
    that many of the likeliest tokens at its place; None: neither. `field` is the request's field for that, for errors.
    """

    ids: bool = False
    top: int | None = None
    field: str = "logprobs"

    @property
    def wanted(self) -> bool:
        """Whether anything is to be reported."""
        return self.ids or self.top is not None


@dataclass(frozen=True, slots=True)
class AnswerPolicy:
    """How to answer.

    `tools` are all tools that can be called, whether the top of the prompt lists them, or a result or a system turn describes
    them (TOOL-12, IN-14). `server_tools` are those that the server runs; they are not among `tools` until it has made them.
    `deferred` are those that can be called once a search of the server has found them.
    `max_tokens` of 0 means: process the prompt and generate nothing (REQ-3). `output` is the JSON Schema
    of the answer (STR-1). `passages` are what it may cite.
    """

    tools: Sequence[Tool] = ()
    server_tools: Sequence[DeclaredServerTool] = ()
    deferred: Sequence[Tool] = ()
    tool_policy: ToolPolicy = field(default_factory=ToolPolicy)
    thinking: ThinkingPolicy = field(default_factory=ThinkingPolicy)
    sampling: Sampling = field(default_factory=Sampling)
    stop_sequences: Sequence[str] = ()
    max_tokens: int = 0
    output: JsonObject | None = None
    report: TokenReport = TokenReport()
    passages: Sequence[Passage] = ()

    @property
    def schemas(self) -> Mapping[str, JsonObject]:
        """The schemas of the tools, by name; text that names no such tool is not a call."""
        return {tool.name: tool.schema for tool in self.tools}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A whole request in neutral form."""

    dialogue: Dialogue
    policy: AnswerPolicy = field(default_factory=AnswerPolicy)
