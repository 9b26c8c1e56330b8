"""The report of a kept request, for a bug: a captured request that `dragoman replay` sends again, with its prompt and answer.

It has what a captured file has, so the same headers and fields are removed, and so are secrets of known forms in all texts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.observability.captured import CapturedRequest, CapturedResponse
from dragoman.observability.kept import kept_body
from dragoman.observability.secrets import without_secrets
from dragoman.server.kept_requests.content import RequestContent, ShownAnswer, ShownPrompt

_ABOUT: Final = (
    "A request to Dragoman and how it was answered. `dragoman replay FILE` sends it again. The conversation is in it: read it "
    "before you give it to others."
)


class Report(Struct, frozen=True):
    """A report. Its first fields are those of a captured exchange, without the response; `server` describes the model."""

    request_id: str
    began: str
    request: CapturedRequest
    response: CapturedResponse
    removed: Sequence[str]
    about: str
    entry: Mapping[str, Any]
    server: Mapping[str, str]
    prompt: ShownPrompt | None
    answers: Sequence[ShownAnswer]


def report_of(content: RequestContent, body: bytes, server: Mapping[str, str]) -> bytes:
    """Return the report as JSON; it takes time in proportion to the size of the request."""
    text, fields = kept_body(body.decode(errors="replace"))
    entry = content.summary.entry
    report = Report(
        request_id=entry.request_id,
        began=content.summary.began,
        request=CapturedRequest(content.method, content.target, content.headers, text),
        response=CapturedResponse(entry.status, {}, (), whole=False),
        removed=(*content.removed, *fields),
        about=_ABOUT,
        entry=msgspec.to_builtins(entry),
        server=server,
        prompt=content.prompt,
        answers=content.answers,
    )
    return without_secrets(msgspec.json.format(msgspec.json.encode(report), indent=1).decode())[0].encode()
