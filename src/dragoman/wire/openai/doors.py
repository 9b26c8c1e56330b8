"""OpenAI's two APIs as doors of the house."""

import msgspec

from dragoman.errors import DragomanError
from dragoman.wire.door import Door
from dragoman.wire.openai.completions import ChatChunk, Completion
from dragoman.wire.openai.encoder import fold_chat, fold_completion
from dragoman.wire.openai.errors import ErrorBody

_encode = msgspec.json.Encoder().encode


def _frame(chunk: msgspec.Struct) -> bytes:
    return b"data: %b\n\n" % _encode(chunk)


def _fault_frame(error: DragomanError, request_id: str) -> bytes:
    return _frame(ErrorBody.of(error, request_id))


_PING, _END = b": ping\n\n", b"data: [DONE]\n\n"

CHAT: Door[ChatChunk] = Door(_frame, fold_chat, ErrorBody.of, _fault_frame, _PING, _END)
COMPLETIONS: Door[Completion] = Door(_frame, fold_completion, ErrorBody.of, _fault_frame, _PING, _END)
