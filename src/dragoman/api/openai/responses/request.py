"""The request bodies of `POST /v1/responses`, `/v1/responses/compact` and `/v1/responses/input_tokens`.

Unknown fields are kept, ignored and named in the log (BETA-2). Unsupported fields that would change the meaning of the answer
are declared here and refused by `rules`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, PrivateAttr

from dragoman.api.base import PlainOrList, WireModel
from dragoman.api.openai.content import Effort
from dragoman.api.openai.request import MOST_LIKELY, JsonFormat, TextFormat
from dragoman.api.openai.responses.items import InputItem, Message
from dragoman.api.openai.responses.tools import AnyChoice, AnyTool
from dragoman.api.remembered import Items
from dragoman.conversation import TokenReport

LOGPROBS: Final = "message.output_text.logprobs"
"""What to `include` for the log-probabilities of the text."""
Summary = Literal["auto", "concise", "detailed"]


class Reasoning(WireModel):
    """How much to reason, and whether the client wants a summary of the reasoning instead of its text."""

    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None
    mode: str | None = None
    context: Any = None


class SchemaFormat(WireModel):
    """An answer that is JSON of a schema."""

    type: Literal["json_schema"]
    name: str
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class TextOptions(WireModel):
    """The format of the answer's text."""

    format: Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class PromptCacheOptions(WireModel):
    """Options of a prompt cache. `prewarm`: read the prompt and generate nothing."""

    prewarm: bool | None = None
    mode: Any = None
    ttl: Any = None
    comparison_response_id: Any = None


class PromptRequest(WireModel):
    """What all endpoints take: the fields that determine the prompt."""

    lists: ClassVar = {"input": Items(InputItem), "tools": Items(AnyTool)}

    model: str
    input: PlainOrList[InputItem] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: list[AnyTool] | None = None
    tool_choice: AnyChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: TextOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None
    # Must be honoured or refused: `rules` refuses it.
    conversation: Any = None
    # May be ignored.
    personality: Any = None

    _history: Sequence[Any] = PrivateAttr(default=())

    @property
    def own_items(self) -> Sequence[Any]:
        """The items of `input`; a text is a message of the user."""
        if isinstance(self.input, str):
            return [Message(role="user", content=self.input)] if self.input else []
        return self.input or []

    @property
    def items(self) -> Sequence[Any]:
        """The items of the response that the request continues, then its own."""
        return [*self._history, *self.own_items]

    def path(self, index: int) -> str:
        """The path of an item, for errors."""
        own = index - len(self._history)
        return f"input.{own}" if own >= 0 else f"previous_response_id.{index}"

    def continuing(self, history: Sequence[Any], items: Sequence[Any]) -> Self:
        """The request with the items of the response that it continues, and with other items of its own."""
        made = self.model_copy(update={"input": list(items)})
        made._history = history
        return made

    @property
    def summarized(self) -> bool:
        """Whether the client asks for a summary of the reasoning."""
        return bool(self.reasoning and (self.reasoning.summary or self.reasoning.generate_summary))


class ResponsesRequest(PromptRequest):
    """The body of `POST /v1/responses`."""

    stream: bool | None = None
    store: bool | None = None
    include: list[str] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LIKELY)] | None = None
    # Must be honoured or refused: `rules` refuses them.
    background: bool | None = None
    prompt: Any = None
    context_management: Any = None
    moderation: Any = None
    # May be ignored.
    max_tool_calls: Any = None
    service_tier: Any = None
    stream_options: Any = None
    prompt_cache_retention: Any = None
    background_options: Any = None
    access_programs: Any = None
    image: Any = None
    client_metadata: Any = None

    @property
    def report(self) -> TokenReport:
        """What the answer reports of its tokens: `top_logprobs` alone asks for log-probabilities, too."""
        if self.top_logprobs:
            return TokenReport(top=self.top_logprobs, field="top_logprobs")
        return TokenReport(top=0, field="include") if LOGPROBS in (self.include or ()) else TokenReport()


class CompactRequest(PromptRequest):
    """The body of `POST /v1/responses/compact`."""

    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    user: str | None = None
    # Must be refused: `rules` refuses it.
    stream: bool | None = None
    # May be ignored.
    service_tier: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    image: Any = None


class CountRequest(PromptRequest):
    """The body of `POST /v1/responses/input_tokens`."""
