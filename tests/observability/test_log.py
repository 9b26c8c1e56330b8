"""The log line as text and as JSON."""

import json
import logging
import sys
from typing import Any

from dragoman.observability import LOG_FORMATS, RequestLogEntry, log_request
from dragoman.observability.log import line
from dragoman.observability.log_entry import Seconds, Tokens, Volume

TURN = RequestLogEntry(
    request_id="req_1",
    method="POST",
    path="/v1/messages",
    endpoint="/v1/messages",
    status=200,
    seconds=Seconds(total=5.61, prepare=0.01, queue=0.0, prefill=0.41, decode=5.2, first_token=0.43),
    client="claude-cli/2.1.330 (external, sdk-cli)",
    session="b1946ac9-2490-4d23-87d2-fba6fd88d16c",
    agent="a77c01d9-0000",
    model="qwen3",
    stream=True,
    body_bytes=140_000,
    content={"system": Volume(3, 6900), "tools": Volume(12, 32_000), "text": Volume(4, 720)},
    tokens=Tokens(prompt=18_204, new=364, cached=17_840, output=231, thinking=80, drafted=96, accepted=83),
    tokens_per_second=44.42,
    diverged='token 412 of 18,204: system block 2, "gitStatus:"',
    calls=2,
    ending="tool_use",
    repairs=("quotes",),
    notes=("an image was left out",),
)
REFUSED = RequestLogEntry(
    request_id="req_2",
    method="POST",
    path="/v1/messages",
    endpoint="/v1/messages",
    status=400,
    seconds=Seconds(total=0.001),
    ending="error",
    error="invalid_request_error",
    message="max_tokens: Field required",
)


class KeepingHandler(logging.Handler):
    """Keeps the lines that it formats."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setFormatter(LOG_FORMATS[name]())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def logged(name: str, entry: RequestLogEntry) -> str:
    """Return the line of an entry in a log format."""
    handler, logger = KeepingHandler(name), logging.getLogger("dragoman.request")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        log_request(entry)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    (found,) = handler.lines
    return found


def test_a_text_line_has_columns_then_exceptions_then_client_and_model() -> None:
    assert line(TURN) == (
        "200 messages        5.6s   18,204 in  98% cached    231 out    44.4 tok/s  tool_use    2 calls  80 thinking"
        "  83 of 96 drafted"
        '  [diverged at token 412 of 18,204: system block 2, "gitStatus:"]  [repaired: quotes]'
        "  prefill 0.41s decode 5.20s  claude-cli/2.1.330  b1946ac9/a77c01d9  qwen3 stream"
        "  3 system 6.9k, 12 tools 32.0k, 4 text 720  [an image was left out]  req_1"
    )


def test_a_refusal_has_the_clients_error_message() -> None:
    assert line(REFUSED) == "400 messages        0.0s  invalid_request_error: max_tokens: Field required  req_2"


def test_an_unknown_path_is_escaped() -> None:
    strange = RequestLogEntry("req_3", "GET", "/a\n200 \x1b[31mb", "", 404, Seconds(0))
    assert line(strange) == "404 GET /a\\n200 \\x1b[31mb    0.0s  req_3"


def test_the_text_format_has_the_time_and_the_line() -> None:
    time, shown = logged("text", REFUSED)[:19], logged("text", REFUSED)[19:]
    assert len(time.split("-")) == 3
    assert shown == f" I {line(REFUSED)}"


def test_json_has_all_fields_by_name_and_omits_defaults() -> None:
    found: dict[str, Any] = json.loads(logged("json", TURN))
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "info",
        "logger": "dragoman.request",
        "request_id": "req_1",
        "method": "POST",
        "path": "/v1/messages",
        "endpoint": "/v1/messages",
        "status": 200,
        "seconds": {"total": 5.61, "prepare": 0.01, "queue": 0.0, "prefill": 0.41, "decode": 5.2, "first_token": 0.43},
        "client": "claude-cli/2.1.330 (external, sdk-cli)",
        "session": "b1946ac9-2490-4d23-87d2-fba6fd88d16c",
        "agent": "a77c01d9-0000",
        "model": "qwen3",
        "stream": True,
        "body_bytes": 140_000,
        "content": {
            "system": {"count": 3, "characters": 6900},
            "tools": {"count": 12, "characters": 32_000},
            "text": {"count": 4, "characters": 720},
        },
        "tokens": {
            "prompt": 18_204,
            "new": 364,
            "cached": 17_840,
            "output": 231,
            "thinking": 80,
            "drafted": 96,
            "accepted": 83,
        },
        "tokens_per_second": 44.42,
        "diverged": 'token 412 of 18,204: system block 2, "gitStatus:"',
        "calls": 2,
        "ending": "tool_use",
        "repairs": ["quotes"],
        "notes": ["an image was left out"],
    }
    assert set(json.loads(logged("json", REFUSED))) == {
        *("time", "level", "logger", "request_id", "method", "path", "endpoint", "status", "seconds"),
        *("ending", "error", "message"),
    }


def test_other_records_are_json_too() -> None:
    handler, logger = KeepingHandler("json"), logging.getLogger("another.library")
    logger.addHandler(handler)
    try:
        logger.warning("%s of %d", "one", 2)
        try:
            raise ValueError("broken")
        except ValueError:
            logger.exception("it failed")
    finally:
        logger.removeHandler(handler)
    plain, failed = map(json.loads, handler.lines)
    assert (plain["level"], plain["logger"], plain["message"]) == ("warning", "another.library", "one of 2")
    assert failed["exception"].endswith("ValueError: broken")
    assert sys.exc_info() == (None, None, None)
