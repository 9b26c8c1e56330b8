"""The bodies of `POST /v1/chat/completions` and `POST /v1/completions`.

Fields that we do not know are carried, ignored and named in the log, as on the first door (BETA-2). What would change the
meaning of the answer is declared here and refused by `rules`.
"""

import re
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Field

from dragoman.wire.base import PlainOrList, WireModel
from dragoman.wire.blocks import DocumentBlock, ImageBlock, ImageData, PdfData, UrlSource

LARGEST: Final = (1 << 63) - 1
"""The largest integer that engines read."""
_DATA_URL = re.compile(r"data:(?P<media_type>[\w.+-]+/[\w.+-]+);base64,(?P<data>.*)", re.DOTALL)


class TextPart(WireModel):
    """Words."""

    type: Literal["text"]
    text: str


class ImageUrl(WireModel):
    """Where an image is: a `data:` URL holds it itself."""

    url: str


class ImagePart(WireModel):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl

    @property
    def block(self) -> ImageBlock:
        """The same, as the first door has it."""
        written = _DATA_URL.fullmatch(self.image_url.url)
        if written is None:
            return ImageBlock(type="image", source=UrlSource(type="url", url=self.image_url.url))
        data = ImageData.model_construct(type="base64", media_type=written["media_type"], data=written["data"])
        return ImageBlock.model_construct(type="image", source=data)


class FileData(WireModel):
    """A file that is written out, as a `data:` URL."""

    file_data: str
    filename: str | None = None


class FilePart(WireModel):
    """A document."""

    type: Literal["file"]
    file: FileData

    @property
    def block(self) -> DocumentBlock:
        """The same, as the first door has it."""
        written = _DATA_URL.fullmatch(self.file.file_data)
        media_type, data = (written["media_type"], written["data"]) if written else ("application/pdf", self.file.file_data)
        source = PdfData.model_construct(type="base64", media_type=media_type, data=data)
        return DocumentBlock.model_construct(type="document", source=source, title=self.file.filename, context=None)


class AudioPart(WireModel):
    """Sound."""

    type: Literal["input_audio"]
    input_audio: dict[str, Any]


class RefusalPart(WireModel):
    """Words by which an earlier answer refused."""

    type: Literal["refusal"]
    refusal: str


UserPart = Annotated[TextPart | ImagePart | FilePart | AudioPart, Field(discriminator="type")]
AnswerPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]


class SystemMessage(WireModel):
    """What the operator says. `developer` is its newer name."""

    role: Literal["system", "developer"]
    content: PlainOrList[TextPart]


class UserMessage(WireModel):
    """What the user says."""

    role: Literal["user"]
    content: PlainOrList[UserPart]


class FunctionCall(WireModel):
    """`arguments` is JSON text, as the model wrote it: perhaps not JSON at all. Some clients send the object itself."""

    name: str
    arguments: str | dict[str, Any] | None = None


class ToolCall(WireModel):
    """A call in an earlier answer."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class ReasoningDetail(WireModel):
    """A piece of reasoning, in text, in short or encrypted; the last is nothing that a model could read."""

    type: str
    text: str | None = None
    summary: str | None = None


class AssistantMessage(WireModel):
    """An earlier answer, with its reasoning where the client kept it. The last one of a body is gone on from."""

    role: Literal["assistant"]
    content: PlainOrList[AnswerPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    tool_calls: list[ToolCall] | None = None

    @property
    def thought(self) -> str:
        """The reasoning, under whichever of the names that servers have for it."""
        details = "".join(detail.text or detail.summary or "" for detail in self.reasoning_details or ())
        return self.reasoning_content or self.reasoning or details


class ToolMessage(WireModel):
    """The result of a call."""

    role: Literal["tool"]
    tool_call_id: str
    content: PlainOrList[UserPart] | None = None


ChatMessage = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


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


class CompletionRequest(_Request):
    """The body of `POST /v1/completions`: a text, or its token ids, to go on from."""

    prompt: str | list[TokenId] | list[str]
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
