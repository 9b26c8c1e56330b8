"""The events of a stream, and their server-sent event frames."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dragoman.api.anthropic.citations import CitationOut
from dragoman.api.anthropic.context_management import AppliedEdits
from dragoman.api.anthropic.errors import ErrorBody
from dragoman.api.anthropic.message import BlockOut, MessageOut, TokenLogprob, Usage


class MessageStart(Struct, frozen=True, tag="message_start"):
    """Opens the stream, with the actual input counts (SSE-4, SSE-5)."""

    message: MessageOut


class ContentBlockStart(Struct, frozen=True, tag="content_block_start"):
    """Opens an empty block (SSE-8)."""

    index: int
    content_block: BlockOut


class TextDelta(Struct, frozen=True, gc=False, tag="text_delta"):
    """More text."""

    text: str


class ThinkingDelta(Struct, frozen=True, gc=False, tag="thinking_delta"):
    """More reasoning."""

    thinking: str


class SignatureDelta(Struct, frozen=True, tag="signature_delta"):
    """The whole signature, the last delta of its block (SSE-12)."""

    signature: str


class InputJsonDelta(Struct, frozen=True, gc=False, tag="input_json_delta"):
    """More of a call's arguments (SSE-10)."""

    partial_json: str


class CompactionDelta(Struct, frozen=True, tag="compaction_delta"):
    """The whole summary, the only delta of its block."""

    content: str | None
    encrypted_content: None = None


class CitationsDelta(Struct, frozen=True, tag="citations_delta"):
    """One more citation of the text (SSE-13)."""

    citation: CitationOut


Delta = TextDelta | CitationsDelta | CompactionDelta | ThinkingDelta | SignatureDelta | InputJsonDelta


class ContentBlockDelta(Struct, frozen=True, gc=False, tag="content_block_delta"):
    """More of the open block, with the tokens from which it was read, if the request asks for them."""

    index: int
    delta: Delta
    output_ids: Sequence[int] | UnsetType = UNSET
    output_token_logprobs: Sequence[TokenLogprob] | UnsetType = UNSET


class ContentBlockStop(Struct, frozen=True, tag="content_block_stop"):
    """Closes the open block."""

    index: int


class FinalDelta(Struct, frozen=True):
    """The stop reason and stop sequence of the message (SSE-14)."""

    stop_reason: str
    stop_sequence: str | None = None
    stop_details: None = None
    container: None = None


class MessageDelta(Struct, frozen=True, tag="message_delta"):
    """The stop reason and the total usage; one per stream, the last event but one (SSE-15, SSE-16).

    It has the tokens after the last block, if the request asks for them: that which ended the answer, for example.
    """

    delta: FinalDelta
    usage: Usage
    context_management: AppliedEdits | UnsetType = UNSET
    output_ids: Sequence[int] | UnsetType = UNSET
    output_token_logprobs: Sequence[TokenLogprob] | UnsetType = UNSET


class MessageStop(Struct, frozen=True, tag="message_stop"):
    """Ends the stream."""


class Ping(Struct, frozen=True, tag="ping"):
    """Keeps a silent connection alive (SSE-19)."""


Event = MessageStart | ContentBlockStart | ContentBlockDelta | ContentBlockStop | MessageDelta | MessageStop | Ping | ErrorBody

_encode = msgspec.json.Encoder().encode
_HEADS = {kind: f"event: {kind.__struct_config__.tag}\ndata: ".encode() for kind in Event.__args__}


def frame(event: Event) -> bytes:
    """The bytes of an event: an `event` line, a `data` line and a blank line (SSE-1, SSE-2)."""
    return b"%b%b\n\n" % (_HEADS[type(event)], _encode(event))
