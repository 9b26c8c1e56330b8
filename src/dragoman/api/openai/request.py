"""The request bodies of `POST /v1/chat/completions` and `POST /v1/completions`.

Unknown fields are kept, ignored and named in the log, as in the Messages API (BETA-2). Unsupported fields that would change
the meaning of the answer are declared here and refused by `rules`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, cast

from pydantic import BeforeValidator, Discriminator, Field, Tag

from dragoman.api.base import PlainOrList, WireModel
from dragoman.api.openai.chat_tools import AnyChoice, AnyFunctionCall, AnyTool, Custom, Function
from dragoman.api.openai.content import UNLIMITED, Effort
from dragoman.api.openai.custom_tools import INPUT
from dragoman.api.openai.parts import AnswerPart, ResultPart, TextPart, ThinkingPart, UserPart, parts_of
from dragoman.api.remembered import Items
from dragoman.conversation import TokenReport
from dragoman.conversation.call_arguments import called_with
from dragoman.conversation.types import JsonObject

LARGEST: Final = (1 << 63) - 1
"""The largest integer that engines accept."""
MOST_LIKELY: Final = 20
"""How many of the likeliest tokens at a place a request may ask for: the limit of the API, and of engines."""
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
    """A call of a function in an earlier answer."""

    id: str
    type: str | None = None
    function: FunctionCall

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.name

    @property
    def arguments(self) -> JsonObject:
        """The arguments."""
        return called_with(self.function.arguments)


class CustomInput(WireModel):
    """The custom tool of a call, and its input."""

    name: str
    input: str


class CustomToolCall(WireModel):
    """A call of a custom tool in an earlier answer."""

    id: str
    type: Literal["custom"]
    custom: CustomInput

    @property
    def name(self) -> str:
        """The name of the tool."""
        return self.custom.name

    @property
    def arguments(self) -> JsonObject:
        """The input as the argument that the model wrote."""
        return {INPUT: self.custom.input}


def _call_kind(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "(custom)" if kind == "custom" else "(function)"


AnyToolCall = Annotated[
    Annotated[ToolCall, Tag("(function)")] | Annotated[CustomToolCall, Tag("(custom)")], Discriminator(_call_kind)
]


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
    tool_calls: list[AnyToolCall] | None = None
    function_call: FunctionCall | None = None

    @property
    def thought(self) -> str:
        """The reasoning, from any of the fields that servers and clients use for it."""
        details = (*(self.reasoning_details or ()), *(self.thinking_blocks or ()))
        pieces = [part.text for part in parts_of(self.content) if isinstance(part, ThinkingPart)]
        pieces += [detail.text or detail.summary or detail.thinking or "" for detail in details]
        return self.reasoning_content or self.reasoning or self.thinking or "".join(pieces)

    @property
    def calls(self) -> Sequence[ToolCall | CustomToolCall]:
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


class JsonSchema(WireModel):
    """The schema of a JSON answer; without one, it may be any JSON object."""

    name: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    description: str | None = None
    strict: bool | None = None


class TextFormat(WireModel):
    """An answer of any text."""

    type: Literal["text"]


class JsonFormat(WireModel):
    """An answer that is any JSON object."""

    type: Literal["json_object"]


class ObjectFormat(JsonFormat):
    """The same with a schema of the object, an extension that servers of open models accept."""

    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None


class SchemaFormat(WireModel):
    """An answer that is JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


AnyFormat = Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


class StreamOptions(WireModel):
    """The options of a stream. `include_usage` adds a last chunk with the token counts."""

    include_usage: bool | None = None
    include_obfuscation: Any = None  # may be ignored: padding against guesses from the lengths of chunks


class TemplateVariables(WireModel):
    """Template variables that turn reasoning on or off, an extension that servers of open models accept."""

    enable_thinking: bool | None = None
    thinking: bool | None = None


def _without_limit(value: object) -> object:
    return UNLIMITED if value == -1 else value


MaxTokens = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_without_limit)]
"""A limit of the answer in tokens. Clients of servers for open models send -1 for none."""


_TokenKey = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})$")]


class ReasoningOptions(WireModel):
    """How much the model reasons, and whether, an extension of routers."""

    effort: Effort | None = None
    enabled: bool | None = None


class ThinkingOptions(WireModel):
    """Whether the model reasons, an extension of servers of DeepSeek and GLM."""

    type: str | None = None


class _Request(WireModel):
    """The fields that both endpoints have."""

    model: str
    max_tokens: MaxTokens = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=LARGEST)] | None = None
    seed: Annotated[int, Field(ge=-LARGEST - 1, le=LARGEST)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    # Extensions that servers of open models accept, as `return_token_ids`.
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.01, le=2)] | None = None
    stop: PlainOrList[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    logit_bias: Annotated[dict[_TokenKey, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=1024)] | None = None
    return_token_ids: bool | None = None
    # May be ignored.
    user: Any = None
    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop sequences, without empty ones, which would match everywhere."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(sequence for sequence in given if sequence)


class ChatRequest(_Request):
    """The body of `POST /v1/chat/completions`."""

    lists: ClassVar = {"messages": Items(ChatMessage, b'{"role": "user", "content": ""}'), "tools": Items(AnyTool)}

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=100_000)]
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LIKELY)] | None = None
    max_completion_tokens: MaxTokens = None
    tools: list[AnyTool] | None = None
    tool_choice: AnyChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[Function], Field(min_length=1)] | None = None
    function_call: AnyFunctionCall | None = None
    response_format: AnyFormat | None = None
    reasoning_effort: Effort | None = None
    chat_template_kwargs: TemplateVariables | None = None
    # Extensions that mean the same as the two before them.
    reasoning: ReasoningOptions | None = None
    thinking: ThinkingOptions | None = None
    enable_thinking: bool | None = None
    # Must be honoured or refused: `rules` refuses them.
    audio: Any = None
    modalities: list[str] | None = None
    moderation: Any = None
    web_search_options: Any = None
    # May be ignored: a prediction only makes the answer faster.
    prediction: Any = None
    verbosity: Any = None

    @property
    def report(self) -> TokenReport:
        """What the answer reports of its tokens."""
        return TokenReport(bool(self.return_token_ids), (self.top_logprobs or 0) if self.logprobs else None)

    @property
    def offered(self) -> Sequence[Function | Custom]:
        """The tools that the model may see: those of `tools` or the older `functions`."""
        return [tool.declared for tool in self.tools or ()] or self.functions or ()

    @property
    def schema_wanted(self) -> tuple[dict[str, Any] | None, str]:
        """The schema of the answer, None if it may be any text, and the path of the schema."""
        match self.response_format:
            case ObjectFormat(schema_=schema):
                return schema or {"type": "object"}, "response_format.schema"
            case SchemaFormat(json_schema=JsonSchema(schema_=schema)):
                return {"type": "object"} if schema is None else schema, "response_format.json_schema.schema"
            case _:
                return None, "response_format"


TokenId = Annotated[int, Field(ge=0, lt=1 << 31)]


def _prompt_kind(value: object) -> str | None:
    if isinstance(value, str):
        return "(text)"
    if not isinstance(value, list):
        return None
    first = value[0] if value else None
    return "(texts)" if isinstance(first, str) else "(lists)" if isinstance(first, list) else "(tokens)"


AnyPrompt = Annotated[
    Annotated[str, Tag("(text)")]
    | Annotated[list[str], Tag("(texts)")]
    | Annotated[list[TokenId], Tag("(tokens)")]
    | Annotated[list[list[TokenId]], Tag("(lists)")],
    Discriminator(_prompt_kind, custom_error_type="prompt", custom_error_message="Input should be a text or token ids"),
]


class CompletionRequest(_Request):
    """The body of `POST /v1/completions`: texts, or their token ids, that the model continues. `echo` returns them, too.

    With a `suffix`, the model writes what is between the prompt and that text. `logprobs` is the number of likeliest tokens.
    """

    prompt: AnyPrompt
    max_tokens: Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_without_limit)] = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MOST_LIKELY)] | Literal[False] | None = None
    suffix: str | None = None
    # Must be honoured or refused: `rules` refuses it.
    best_of: int | None = None

    @property
    def report(self) -> TokenReport:
        """What the answer reports of its tokens."""
        top = None if self.logprobs is None or self.logprobs is False else self.logprobs
        return TokenReport(bool(self.return_token_ids), top)

    @property
    def prompts(self) -> Sequence[str | list[int]]:
        """The prompts, of which each is continued."""
        match self.prompt:
            case [str() | list(), *_]:
                return cast("list[str | list[int]]", self.prompt)
            case prompt:
                return [cast("str | list[int]", prompt)]
