"""The log line of a request, as text or JSON.

A request is logged as its entry, and the formatter of the log handler renders it. Any other formatter gets the text line, since
that is the string form of the logged object.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from dragoman.observability.log_entry import RequestLogEntry, Seconds, Tokens

_LOG = logging.getLogger("dragoman.request")
_SHORT_ID = 8
_LONGEST_NAME = 32
_LONGEST_PATH = 60
_THOUSAND = 1000
_NOTICEABLE = 0.005


def log_request(entry: RequestLogEntry) -> None:
    """Log a request."""
    _LOG.info("%s", _Line(entry))


class _Line:
    """A log argument that is rendered as the text line only when a formatter needs it."""

    def __init__(self, entry: RequestLogEntry) -> None:
        self.entry = entry

    def __str__(self) -> str:
        return line(self.entry)


class HumanFormatter(logging.Formatter):
    """Formats a record as a text line: the time, the first letter of the level, the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname).1s %(message)s", "%Y-%m-%d %H:%M:%S")


class JsonFormatter(logging.Formatter):
    """Formats every record as one JSON object per line; docs/observability.md lists the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the fields of a request's entry, or the message of another record."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        argument = record.args[0] if isinstance(record.args, tuple) and len(record.args) == 1 else None
        if isinstance(argument, _Line):
            fields |= msgspec.to_builtins(argument.entry)
        else:
            fields["message"] = record.getMessage()
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields).decode()


LOG_FORMATS: dict[str, type[logging.Formatter]] = {"text": HumanFormatter, "json": JsonFormatter}
"""The formatters, by the values of `--log-format`."""


def line(entry: RequestLogEntry) -> str:
    """Return the text log line: fixed columns, exceptional facts, client and model, prompt changes, request id."""
    shown = "  ".join([*_columns(entry), *_exceptional(entry), *_context(entry), *_notes(entry), entry.request_id])
    return (
        shown
        if shown.isprintable()
        else "".join(character if character.isprintable() else ascii(character)[1:-1] for character in shown)
    )


def _columns(entry: RequestLogEntry) -> Iterator[str]:
    name = entry.endpoint.rpartition("/v1/")[2].removeprefix("messages/") or f"{entry.method} {entry.path[:_LONGEST_PATH]}"
    yield f"{entry.status:<3} {name:<12} {entry.seconds.total:>6.1f}s"
    if entry.tokens is not None:
        yield _counts(entry.tokens, entry.tokens_per_second)
    if entry.ending:
        yield f"{entry.error}: {entry.message}" if entry.error else f"{entry.ending:<10}"


def _counts(tokens: Tokens, rate: float | None) -> str:
    reused = f"{tokens.cached / tokens.prompt:>4.0%} cached" if tokens.prompt else " " * 11
    return f"{tokens.prompt:>7,} in {reused} {tokens.output:>6,} out {rate or 0:>7.1f} tok/s"


def _exceptional(entry: RequestLogEntry) -> Iterator[str]:
    """Yield the exceptional facts of a request."""
    if entry.calls:
        yield f"{entry.calls} call{'s' if entry.calls > 1 else ''}"
    if entry.tokens is not None and entry.tokens.thinking:
        yield f"{entry.tokens.thinking:,} thinking"
    if entry.tokens is not None and entry.tokens.drafted:
        yield f"{entry.tokens.accepted:,} of {entry.tokens.drafted:,} drafted"
    if entry.diverged:
        yield f"[diverged at {entry.diverged}]"
    yield from _listed("repaired: ", entry.repairs)
    yield from _listed("not as promised: ", entry.broken)


def _context(entry: RequestLogEntry) -> Iterator[str]:
    """Yield durations, key, client, session, model and content."""
    if durations := _durations(entry.seconds):
        yield " ".join(durations)
    if entry.key:
        yield f"key {entry.key}"
    if entry.client:
        yield entry.client.partition(" (")[0][:_LONGEST_NAME]
    if entry.session or entry.agent:
        yield "/".join(name[:_SHORT_ID] for name in (entry.session, entry.agent) if name)
    if entry.model:
        model = f"{entry.model} ({entry.served})" if entry.served else entry.model
        yield f"{model} stream" if entry.stream else model
    if entry.content:
        yield ", ".join(f"{volume.count:,} {kind} {_short(volume.characters)}" for kind, volume in entry.content.items())


def _notes(entry: RequestLogEntry) -> Iterator[str]:
    """Yield the notes on the prompt and the unknown fields, which are long and repeat for a client."""
    yield from _listed("", entry.notes)
    yield from _listed("unknown: ", entry.unknown)


def _listed(label: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield f"[{label}{'; '.join(items)}]"


def _durations(seconds: Seconds) -> Sequence[str]:
    """Return the durations that are long enough to notice."""
    named = {
        "load": seconds.load,
        "queue": seconds.queue,
        "prefill": seconds.prefill,
        "decode": seconds.decode,
        "tools": seconds.tools,
        "stopped in": seconds.stop,
    }
    return [f"{name} {value:.2f}s" for name, value in named.items() if value is not None and value >= _NOTICEABLE]


def _short(number: int) -> str:
    return f"{number / _THOUSAND:.1f}k" if number >= _THOUSAND else str(number)
