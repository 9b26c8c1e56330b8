"""`dragoman replay`: sends captured requests again and reports how the answers differ."""

import http.client
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click

from dragoman.cli.http import DEFAULT_URL
from dragoman.cli.usage_error import UsageError
from dragoman.observability import BadCapture, CapturedExchange
from dragoman.observability.response_summary import ResponseSummary, summarize

_TIMEOUT = 600.0
"""Seconds without a byte, as in the official SDKs."""


@click.command(short_help="Send captured requests again.")
@click.argument("paths", nargs=-1, required=True, metavar="FILE|DIR...", type=click.Path(exists=True, path_type=Path))
@click.option("--url", default=DEFAULT_URL, show_default=True, help="Server to send the requests to.")
@click.option("--key", metavar="KEY", help="API key of the server.")
def replay(paths: Sequence[Path], url: str, key: str | None) -> None:
    """Send the requests that `dragoman serve --capture` wrote again, one after the other, and report differences.

    The exit status is 1 if a status or the shape of an answer (its blocks, calls or error) differs. Models sample, so another
    ending or text length is reported but is not a difference.
    """
    same = True
    for path in _files(paths):
        exchange = _read(path)
        if not exchange.request.whole:
            click.echo(f"skipped  {path.name}  the captured request is incomplete")
            continue
        before, now = _recorded(exchange), _sent(exchange, url, key)
        agrees = _agree(before, now)
        same = same and agrees
        click.echo(f"{'same' if agrees else 'DIFFERS':<7}  {path.name}  {now.summary}")
        for difference in _differences(before, now):
            click.echo(f"         {difference}")
    sys.exit(0 if same else 1)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.glob("*.json")) if path.is_dir() else [path]


def _read(path: Path) -> CapturedExchange:
    try:
        return CapturedExchange.read(path)
    except BadCapture as error:
        raise UsageError(str(error)) from error


def _recorded(exchange: CapturedExchange) -> ResponseSummary:
    answer = exchange.response
    return summarize(answer.status, answer.headers.get("content-type", ""), answer.content, whole=answer.whole)


def _sent(exchange: CapturedExchange, url: str, key: str | None) -> ResponseSummary:
    """The answer to the request sent again. Raises `UsageError` if the server cannot be reached."""
    server, request = urlsplit(url), exchange.request
    kind = http.client.HTTPSConnection if server.scheme == "https" else http.client.HTTPConnection
    connection = kind(server.netloc, timeout=_TIMEOUT)
    headers = {**request.headers, **({"x-api-key": key} if key else {})}
    body = request.content
    try:
        connection.request(request.method, server.path.rstrip("/") + request.target, body or None, headers)
        answer = connection.getresponse()
        content, whole = _received(answer)
        return summarize(answer.status, answer.getheader("content-type", ""), content, whole=whole)
    except (OSError, http.client.HTTPException) as error:
        raise UsageError(f"no answer from {url}: {error}") from error
    finally:
        connection.close()


def _received(answer: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """The received content, and whether it is complete."""
    content = bytearray()
    try:
        while chunk := answer.read1(1 << 16):
            content += chunk
    except (OSError, http.client.HTTPException):
        return bytes(content), False
    return bytes(content), not answer.length


def _agree(before: ResponseSummary, now: ResponseSummary) -> bool:
    """Whether status and shape are equal; for an answer whose client disconnected, only the captured beginning is compared."""
    if before.whole:
        return (before.status, before.shape, before.whole) == (now.status, now.shape, now.whole)
    return before.status in (0, now.status) and before.shape == now.shape[: len(before.shape)]


def _differences(before: ResponseSummary, now: ResponseSummary) -> Iterator[str]:
    if not before.whole:
        yield f"the client had disconnected: {before.summary}"
        return
    if not now.whole:
        yield "the answer was cut"
    if before.status != now.status:
        yield f"status: {before.status} became {now.status}"
    if before.stop_reason != now.stop_reason:
        yield f"stop_reason: {before.stop_reason} became {now.stop_reason}"
    if before.shape != now.shape:
        yield f"blocks: {', '.join(before.shape) or 'none'} became {', '.join(now.shape) or 'none'}"
    else:
        for name, was, length in zip(before.shape, before.lengths, now.lengths, strict=True):
            if was != length:
                yield f"{name}: {was} characters became {length}"
    for name, was in before.counts.items():
        if now.counts.get(name) != was:
            yield f"{name}: {was} became {now.counts.get(name)}"
