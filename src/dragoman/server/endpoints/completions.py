"""`POST /v1/chat/completions` and `POST /v1/completions`, in the OpenAI format."""

import secrets
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request

from dragoman.api.base import check_known, parse, unknown_fields
from dragoman.api.openai.chat_tools import Custom
from dragoman.api.openai.completions import ChatChunk, ChatEvent, Completion, CompletionEvent
from dragoman.api.openai.encoder import Answer, ChatEncoder, CompletionEncoder
from dragoman.api.openai.formats import CHAT, COMPLETIONS
from dragoman.api.openai.lowering import lower_chat, sampling
from dragoman.api.openai.request import ChatRequest, CompletionRequest
from dragoman.api.openai.rules import check_chat, check_completion, check_strict_input
from dragoman.conversation import AnswerPolicy, Conversation, Dialogue
from dragoman.engines import Routing
from dragoman.errors import DragomanError, EngineRefused, InvalidRequest
from dragoman.limits import Limits
from dragoman.observability import Record
from dragoman.prompt import Prompt
from dragoman.server.answering.choices import each
from dragoman.server.answering.incoming import Incoming, IncomingCompletion, IncomingConversation, Prepared
from dragoman.server.answering.preparation import Read, is_large
from dragoman.server.answering.rendering import in_worker
from dragoman.server.endpoints.base import GeneratingEndpoint, Planned
from dragoman.server.models.served_model import ServedModel, Settings

_MANY_IDS = 20_000
_DEFAULT_COMPLETION = 16
"""Tokens of a completion if the request sets no limit: the default of the API."""


class ChatCompletions(GeneratingEndpoint[ChatEvent]):
    """Answers a conversation."""

    api_format = CHAT

    async def read(self, request: Request, body: bytes) -> Incoming:
        """Read a request as far as that is possible without its model. Raises `InvalidRequest`."""
        return await IncomingConversation.of(read_chat, body, self.registry.settings)

    def encoders(self, read: Read, planned: Planned) -> Sequence[ChatEncoder]:
        """Return an encoder for each choice."""
        chunk_of = partial(ChatChunk, _id("chatcmpl"), int(time.time()), read.model)
        answer = Answer(
            chunk_of,
            usage=read.usage,
            choices=read.choices,
            per_prompt=read.choices,
        )
        report, reply = read.conversation.policy.report, read.reply
        return [
            ChatEncoder(answer, index, older=reply.older, custom=reply.custom, report=report) for index in range(read.choices)
        ]


class Completions(GeneratingEndpoint[CompletionEvent]):
    """Continues a text, without a chat template."""

    api_format = COMPLETIONS

    async def read(self, request: Request, body: bytes) -> Incoming:
        """Read a request, which needs no model. Raises `InvalidRequest`."""
        limits = self.registry.settings.limits
        if is_large(body) or body.count(b",") > _MANY_IDS:
            read, packed = await in_worker(read_completion, body, limits)
        else:
            read, packed = read_completion(body, limits)
        return IncomingCompletion(read, [prompt if isinstance(prompt, str) else prompt.tolist() for prompt in packed])

    def encoders(self, read: Read, planned: Planned) -> Sequence[CompletionEncoder]:
        """Return an encoder for each choice: first those of the first prompt."""
        report, choices = read.conversation.policy.report, len(planned.answers)
        chunk_of = partial(Completion, _id("cmpl"), int(time.time()), read.model)
        answer = Answer(
            chunk_of,
            usage=read.usage,
            choices=choices,
            per_prompt=read.choices,
        )
        return [CompletionEncoder(answer, index, report) for index in range(choices)]

    async def plan(self, incoming: Incoming, made: Prepared, model: ServedModel, routing: Routing, record: Record) -> Planned:
        """Return the generations that continue the texts or the token ids. Raises what the prompts and generating raise."""
        policy = made.read.conversation.policy
        record.notes = model.feasibility.notes(policy, routing.affinity)
        prompts = [await _prompt(made, index, model) for index in range(len(made.plain))]
        choices = list(each(policy, made.read.choices))
        return Planned([model.generate_plain(choice, prompt, routing) for prompt in prompts for choice in choices])

    def refusal(self, made: Prepared, refused: EngineRefused) -> DragomanError:
        """Return the client's error if the engine refuses token ids, which reach it unchanged."""
        if all(isinstance(plain, str) for plain in made.plain):
            return refused
        return InvalidRequest.at("prompt", f"the engine does not accept these token ids: {refused.message}")


@dataclass(frozen=True, slots=True)
class _ChatReply:
    """Whether the request has the older `functions`, and the names of its custom tools."""

    older: bool
    custom: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Reply:
    """Whether the prompts are echoed, and the text that follows what the model writes, if there is one."""

    echo: bool
    suffix: str


async def _prompt(made: Prepared, index: int, model: ServedModel) -> Prompt:
    plain, reply = made.plain[index], made.read.reply
    if reply.suffix and isinstance(plain, str):
        prompt = await model.plain_between(plain, reply.suffix, "suffix")
    else:
        prompt = await model.plain_prompt(plain, f"prompt.{index}" if len(made.plain) > 1 else "prompt")
    return await model.echoed(prompt, plain, made.read.conversation.policy.report) if reply.echo else prompt


def read_chat(body: bytes, settings: Settings) -> Read:
    """Parse, check and lower a request. Raises `InvalidRequest`."""
    wanted = parse(ChatRequest, body)
    check_chat(wanted, settings.limits)
    if settings.strict:
        check_known(wanted)
    if settings.strict_input:
        check_strict_input(wanted)
    custom = frozenset(tool.name for tool in wanted.offered if isinstance(tool, Custom))
    return _read(wanted, lower_chat(wanted), _ChatReply(bool(wanted.functions), custom))


def read_completion(body: bytes, limits: Limits) -> "tuple[Read, list[str | array[int]]]":
    """Parse and check a request; each prompt is text or token ids. Raises `InvalidRequest`."""
    wanted = parse(CompletionRequest, body)
    check_completion(wanted, limits)
    policy = AnswerPolicy(
        sampling=sampling(wanted),
        stop_sequences=wanted.stops,
        max_tokens=_DEFAULT_COMPLETION if wanted.max_tokens is None else wanted.max_tokens,
        report=wanted.report,
    )
    prompts = wanted.prompts
    packed = [prompt if isinstance(prompt, str) else array("I", prompt) for prompt in prompts]
    return _read(wanted, Conversation(Dialogue(), policy), _Reply(bool(wanted.echo), wanted.suffix or "")), packed


def _read(wanted: ChatRequest | CompletionRequest, conversation: Conversation, reply: object) -> Read:
    return Read(
        model=wanted.model,
        stream=bool(wanted.stream),
        conversation=conversation,
        unknown=list(unknown_fields(wanted)),
        named={"prompt_cache_key": wanted.prompt_cache_key, "user": wanted.user},
        usage=_wants_usage(wanted),
        choices=wanted.n or 1,
        reply=reply,
    )


def _wants_usage(wanted: ChatRequest | CompletionRequest) -> bool:
    """Whether the response has token counts: an unstreamed one always, a stream if the request asks for them."""
    return not wanted.stream or bool(wanted.stream_options and wanted.stream_options.include_usage)


def _id(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(12)}"
