"""The bodies of `POST /v1/chat/completions` and `POST /v1/completions`.

Fields that we do not know are carried, ignored and named in the log, as on the first door (BETA-2). What would change the
meaning of the answer is declared here and refused by `rules`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Discriminator, Field, Tag

from dragoman.api.anthropic.base import PlainOrList, WireModel
from dragoman.api.openai.parts import AnswerPart, ResultPart, TextPart, ThinkingPart, UserPart, parts_of

LARGEST: Final = (1 << 63) - 1
"""The largest integer that engines read."""
FUNCTION_CALL: Final = "function_call"
"""The id of a call that has none."""


class SystemMessage(WireModel):
    """What the operator says. `developer` is its newer name."""

    role: Literal["system", "developer"]
    content: PlainOrList[TextPart]
    name: str | None = None


class UserMessage(WireModel):
    """What the user says."""

    role: Literal["user"]
    content: PlainOrList[UserPart]
    name: str | None = None


class FunctionCall(WireModel):
    """`arguments` is JSON text, as the model wrote it: perhaps not JSON at all. Some clients send the object itself."""

    name: str
    arguments: Any = None


class ToolCall(WireModel):
    """A call in an earlier answer."""

    id: str
    type: str | None = None
    function: FunctionCall


class ReasoningDetail(WireModel):
    """A piece of reasoning, in text, in short or encrypted; the last is nothing that a model could read."""

    text: str | None = None
    summary: str | None = None
    thinking: str | None = None


class AssistantMessage(WireModel):
    """An earlier answer, with its reasoning where the client kept it. The last one of a body is gone on from."""

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
        """The reasoning, under whichever of the names that servers and clients have for it."""
        details = (*(self.reasoning_details or ()), *(self.thinking_blocks or ()))
        pieces = [part.text for part in parts_of(self.content) if isinstance(part, ThinkingPart)]
        pieces += [detail.text or detail.summary or detail.thinking or "" for detail in details]
        return self.reasoning_content or self.reasoning or self.thinking or "".join(pieces)

    @property
    def calls(self) -> Sequence[ToolCall]:
        """Its calls; the older `function_call` has no id, and the next message answers it."""
        older = [ToolCall(id=FUNCTION_CALL, function=self.function_call)] if self.function_call else []
        return [*(self.tool_calls or ()), *older]


class ToolMessage(WireModel):
    """The result of a call."""

    role: Literal["tool"]
    tool_call_id: str
    content: PlainOrList[ResultPart] | None = None
    name: str | None = None


class FunctionMessage(WireModel):
    """The result of a `function_call`, in the form that `tool` messages have replaced."""

    role: Literal["function"]
    name: str
    content: PlainOrList[ResultPart] | None = None

    @property
    def tool_call_id(self) -> str:
        """The id that the call has here."""
        return FUNCTION_CALL


ChatMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")
]


class Function(WireModel):
    """A function on offer."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(WireModel):
    """A tool that the client runs."""

    type: Literal["function"]
    function: Function


class FunctionName(WireModel):
    """Names a function."""

    name: str


class NamedChoice(WireModel):
    """This function must be called."""

    type: Literal["function"]
    function: FunctionName


class JsonSchema(WireModel):
    """The schema of an answer."""

    name: str
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class TextFormat(WireModel):
    """Any text."""

    type: Literal["text"]


class JsonFormat(WireModel):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(WireModel):
    """JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class StreamOptions(WireModel):
    """`include_usage`: one more chunk at the end, with the counts."""

    include_usage: bool | None = None


class TemplateVariables(WireModel):
    """What servers of open models take beside the standard: the template's own switch for reasoning."""

    enable_thinking: bool | None = None
    thinking: bool | None = None


class _Request(WireModel):
    """What both bodies share."""

    model: str
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=LARGEST)] | None = None
    seed: Annotated[int, Field(ge=-LARGEST - 1, le=LARGEST)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    # Not OpenAI's: servers of open models take them.
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
        """The stop sequences; an empty one would match everywhere, and says nothing."""
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
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
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
    """The body of `POST /v1/completions`: a text, or its token ids, to go on from."""

    prompt: AnyPrompt
    # Must be honoured or refused: `rules` refuses them.
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None

    @property
    def only_prompt(self) -> str | list[int]:
        """The prompt, out of a list of one. `rules` has refused longer ones."""
        match self.prompt:
            case [str(text), *_]:
                return text
            case prompt:
                return cast("str | list[int]", prompt)
