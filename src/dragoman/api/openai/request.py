"""The request bodies of `POST /v1/chat/completions` and `POST /v1/completions`.

Unknown fields are kept, ignored and named in the log, as in the Messages API (BETA-2). Unsupported fields that would change
the meaning of the answer are declared here and refused by `rules`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Discriminator, Field, Tag

from dragoman.api.base import PlainOrList, WireModel
from dragoman.api.openai.content import Effort
from dragoman.api.openai.parts import AnswerPart, ResultPart, TextPart, ThinkingPart, UserPart, parts_of

LARGEST: Final = (1 << 63) - 1
"""The largest integer that engines accept."""
FUNCTION_CALL: Final = "function_call"
"""The id for a call without one."""


class SystemMessage(WireModel):
    """A system message. `developer` is the newer name of the role."""

    role: Literal["system", "developer"]
    content: PlainOrList[TextPart]
    name: str | None = None


class UserMessage(WireModel):
    """A user message."""

    role: Literal["user"]
    content: PlainOrList[UserPart]
    name: str | None = None


class FunctionCall(WireModel):
    """The function of a call. `arguments` is the model's text, usually JSON; some clients send the object itself."""

    name: str
    arguments: Any = None


class ToolCall(WireModel):
    """A call in an earlier answer."""

    id: str
    type: str | None = None
    function: FunctionCall


class ReasoningDetail(WireModel):
    """A span of reasoning: its text, a summary, or encrypted data, which is not readable."""

    text: str | None = None
    summary: str | None = None
    thinking: str | None = None


class AssistantMessage(WireModel):
    """An earlier answer, with its reasoning if the client kept it. If it is the last message, the model continues it."""

    role: Literal["assistant"]
    content: PlainOrList[AnswerPart] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    thinking_blocks: list[ReasoningDetail] | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None

    @property
    def thought(self) -> str:
        """The reasoning, from any of the fields that servers and clients use for it."""
        details = (*(self.reasoning_details or ()), *(self.thinking_blocks or ()))
        pieces = [part.text for part in parts_of(self.content) if isinstance(part, ThinkingPart)]
        pieces += [detail.text or detail.summary or detail.thinking or "" for detail in details]
        return self.reasoning_content or self.reasoning or self.thinking or "".join(pieces)

    @property
    def calls(self) -> Sequence[ToolCall]:
        """The calls. The older `function_call` has no id; the next message is its result."""
        older = [ToolCall(id=FUNCTION_CALL, function=self.function_call)] if self.function_call else []
        return [*(self.tool_calls or ()), *older]


class ToolMessage(WireModel):
    """The result of a call."""

    role: Literal["tool"]
    tool_call_id: str
    content: PlainOrList[ResultPart] | None = None
    name: str | None = None


class FunctionMessage(WireModel):
    """The result of a `function_call`; newer clients send `tool` messages instead."""

    role: Literal["function"]
    name: str
    content: PlainOrList[ResultPart] | None = None

    @property
    def tool_call_id(self) -> str:
        """The id that stands for the call."""
        return FUNCTION_CALL


ChatMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")
]


class Function(WireModel):
    """A declared function."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(WireModel):
    """A tool that the client runs."""

    type: Literal["function"]
    function: Function


class FunctionName(WireModel):
    """The name of a function."""

    name: str


class NamedChoice(WireModel):
    """The model must call this function."""

    type: Literal["function"]
    function: FunctionName


class JsonSchema(WireModel):
    """The schema of a JSON answer."""

    name: str
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class TextFormat(WireModel):
    """An answer of any text."""

    type: Literal["text"]


class JsonFormat(WireModel):
    """An answer that is any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(WireModel):
    """An answer that is JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class StreamOptions(WireModel):
    """The options of a stream. `include_usage` adds a last chunk with the token counts."""

    include_usage: bool | None = None


class TemplateVariables(WireModel):
    """Template variables that turn reasoning on or off, an extension that servers of open models accept."""

    enable_thinking: bool | None = None
    thinking: bool | None = None


class _Request(WireModel):
    """The fields that both endpoints have."""

    model: str
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=LARGEST)] | None = None
    seed: Annotated[int, Field(ge=-LARGEST - 1, le=LARGEST)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    # Extensions that servers of open models accept.
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.01, le=2)] | None = None
    stop: PlainOrList[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # Must be honoured or refused: `rules` refuses them.
    n: int | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | int | None = None
    # May be ignored.
    user: Any = None
    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    prompt_cache_key: Any = None
    safety_identifier: Any = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop sequences, without empty ones, which would match everywhere."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(sequence for sequence in given if sequence)


class ChatRequest(_Request):
    """The body of `POST /v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=100_000)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")] | None = None
    reasoning_effort: Effort | None = None
    chat_template_kwargs: TemplateVariables | None = None
    # Must be honoured or refused: `rules` refuses them.
    top_logprobs: int | None = None
    functions: Any = None
    function_call: Any = None
    audio: Any = None
    modalities: list[str] | None = None
    prediction: Any = None
    web_search_options: Any = None


TokenId = Annotated[int, Field(ge=0, lt=1 << 31)]


def _prompt_kind(value: object) -> str | None:
    if isinstance(value, str):
        return "(text)"
    if isinstance(value, list):
        return "(texts)" if value and isinstance(value[0], str) else "(tokens)"
    return None


AnyPrompt = Annotated[
    Annotated[str, Tag("(text)")] | Annotated[list[TokenId], Tag("(tokens)")] | Annotated[list[str], Tag("(texts)")],
    Discriminator(_prompt_kind, custom_error_type="prompt", custom_error_message="Input should be a text or token ids"),
]


class CompletionRequest(_Request):
    """The body of `POST /v1/completions`: a text, or its token ids, that the model continues."""

    prompt: AnyPrompt
    # Must be honoured or refused: `rules` refuses them.
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None

    @property
    def only_prompt(self) -> str | list[int]:
        """The prompt, taken out of a list of one text; `rules` has refused longer lists."""
        match self.prompt:
            case [str(text), *_]:
                return text
            case prompt:
                return cast("str | list[int]", prompt)
