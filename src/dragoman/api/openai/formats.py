"""Chat completions, completions and responses as API formats."""

import msgspec

from dragoman.api.format import ApiFormat
from dragoman.api.openai.completions import ChatEvent, Comment, CompletionEvent
from dragoman.api.openai.errors import ErrorBody
from dragoman.api.openai.folding import fold_chat, fold_completion
from dragoman.api.openai.responses import encoder, events
from dragoman.errors import DragomanError

_encode = msgspec.json.Encoder().encode


def _frame(event: ChatEvent | CompletionEvent) -> bytes:
    return b": %b\n\n" % event.text.encode() if isinstance(event, Comment) else b"data: %b\n\n" % _encode(event)


def _error_frame(error: DragomanError, request_id: str) -> bytes:
    return _frame(ErrorBody.of(error, request_id))


_PING, _END = b": ping\n\n", b"data: [DONE]\n\n"

CHAT: ApiFormat[ChatEvent] = ApiFormat(_frame, fold_chat, ErrorBody.of, _error_frame, _PING, _END)
COMPLETIONS: ApiFormat[CompletionEvent] = ApiFormat(_frame, fold_completion, ErrorBody.of, _error_frame, _PING, _END)
RESPONSES_API: ApiFormat[events.Event] = ApiFormat(events.frame, encoder.fold, ErrorBody.of, events.error_frame, _PING)
