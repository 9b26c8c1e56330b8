"""Chat completions and completions as API formats."""

import msgspec

from dragoman.api.format import ApiFormat
from dragoman.api.openai.completions import ChatChunk, Completion
from dragoman.api.openai.encoder import fold_chat, fold_completion
from dragoman.api.openai.errors import ErrorBody
from dragoman.errors import DragomanError

_encode = msgspec.json.Encoder().encode


def _frame(chunk: msgspec.Struct) -> bytes:
    return b"data: %b\n\n" % _encode(chunk)


def _error_frame(error: DragomanError, request_id: str) -> bytes:
    return _frame(ErrorBody.of(error, request_id))


_PING, _END = b": ping\n\n", b"data: [DONE]\n\n"

CHAT: ApiFormat[ChatChunk] = ApiFormat(_frame, fold_chat, ErrorBody.of, _error_frame, _PING, _END)
COMPLETIONS: ApiFormat[Completion] = ApiFormat(_frame, fold_completion, ErrorBody.of, _error_frame, _PING, _END)
