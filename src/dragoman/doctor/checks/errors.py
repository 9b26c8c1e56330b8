"""Checks of errors: clients decide by status, type and message whether to retry, to compact or to give up."""

import json
import re
from collections.abc import Mapping

from dragoman.doctor.api import MESSAGES
from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.client import Answer, Client
from dragoman.doctor.request_fixtures import body, user

SUBJECT = Subject("errors")
ASSUMED_WINDOW = 60_000
"""Words of the prompt if the context window is not reported."""

_TOO_LONG = re.compile(r"prompt is too long: \d+ tokens > \d+ maximum")


async def _refusals(client: Client) -> Mapping[str, Answer]:
    """The answers to four invalid requests."""
    return {
        "a body that is not JSON": await client.ask("POST", MESSAGES, b'{"model": '),
        "a body without max_tokens": await client.post({"messages": [user("Hi")]}),
        "an unknown path": await client.ask("GET", "/v1/nowhere"),
        "messages that are not a list": await client.post(body() | {"messages": "Hi"}),
    }


@SUBJECT.check("every failure has the API's shape", "SDKs read the type and the message from it", "ERR-1")
async def error_shape(client: Client) -> None:
    for what, answer in (await client.once(_refusals)).items():
        error = answer.error
        whole = answer.object.get("type") == "error" and all(isinstance(error.get(name), str) for name in ("type", "message"))
        if not whole:
            raise CheckFailed(f"{what} is answered {quoted(answer.body.decode(errors='replace'))}")


@SUBJECT.check("a failure names its request", "support, logs and the SDK's error show it", "ERR-1", "TRN-6")
async def error_request_id(client: Client) -> None:
    for what, answer in (await client.once(_refusals)).items():
        found, header = answer.object.get("request_id"), answer.headers.get("request-id")
        if not found or found != header:
            raise CheckFailed(f"{what}: request_id is {found!r}, the header has {header!r}")


@SUBJECT.check(
    "a broken body is a 400 invalid_request_error", "422 and 500 are retried, or mean something else", "ERR-2", "ERR-3"
)
async def bad_json(client: Client) -> None:
    refusals = await client.once(_refusals)
    for what in ("a body that is not JSON", "messages that are not a list"):
        answer = refusals[what]
        if answer.status != 400:
            raise CheckFailed(f"{what} is answered {answer.status}: {answer.excerpt}")
        if answer.error.get("type") != "invalid_request_error":
            raise CheckFailed(f"{what} is of type {answer.error.get('type')!r}")


@SUBJECT.check("a missing field is named", "people and clients match `max_tokens: Field required`", "ERR-9", "REQ-1")
async def missing_field(client: Client) -> None:
    answer = (await client.once(_refusals))["a body without max_tokens"]
    answer.expect(400)
    if answer.error.get("message") != "max_tokens: Field required":
        raise CheckFailed(f"the message is: {answer.excerpt}")


@SUBJECT.check("an unknown path is a 404 not_found_error", "clients probe for endpoints and fall back by this", "ERR-2")
async def unknown_route(client: Client) -> None:
    answer = (await client.once(_refusals))["an unknown path"].expect(404)
    if answer.error.get("type") != "not_found_error":
        raise CheckFailed(f"the type is {answer.error.get('type')!r}")


@SUBJECT.check("an unknown model is a 404 that names it", "clients recognise a wrong name by the 404", "ERR-10")
async def unknown_model(client: Client) -> None:
    answer = await client.post({**body(max_tokens=1), "model": "no-such-model"})
    answer.expect(404)
    if answer.error.get("type") != "not_found_error" or "no-such-model" not in answer.excerpt:
        raise CheckFailed(f"{answer.error.get('type')}: {answer.excerpt}")


@SUBJECT.check("an early failure is not a stream", "a client retries a status, and loses an error inside a stream", "ERR-8")
async def early_status(client: Client) -> None:
    answer = await client.post({"max_tokens": 1, "stream": True})
    if answer.status < 400:
        raise CheckFailed(f"a request without messages is answered {answer.status}: {answer.excerpt}")
    if "json" not in answer.headers.get("content-type", ""):
        raise CheckFailed(f"content-type: {answer.headers.get('content-type')}")


@SUBJECT.check(
    "a prompt beyond the window is refused with `prompt is too long`",
    "Claude Code compacts when it reads this, and fails otherwise",
    "ERR-11",
    "CC-8",
)
async def overflow(client: Client) -> None:
    words = "word " * (client.window + 500 if client.window else ASSUMED_WINDOW)
    answer = await client.post(body(user(words), max_tokens=1))
    if answer.status == 200 and not client.window:
        raise Skip(f"the context window is not reported, and holds {ASSUMED_WINDOW} words")
    answer.expect(400)
    if not _TOO_LONG.search(str(answer.error.get("message"))):
        raise CheckFailed(f"the message is: {answer.excerpt}")


@SUBJECT.check(
    "threads are refused so that runners continue without", "the SDK's tool runner sends `thread` on its own", "THR-3"
)
async def thread(client: Client) -> None:
    answer = await client.post(body(thread={"type": "create"}, max_tokens=1), anthropic_beta="message-threads-2026-08-12")
    if answer.status == 200:
        raise CheckFailed(
            "`thread` is accepted; unless threads are kept, the next request of a tool loop is answered without its history"
        )
    details = answer.error.get("details")
    if answer.status != 400 or not isinstance(details, dict) or details.get("error_code") != "thread_unsupported_request":
        raise CheckFailed(
            f"answered {answer.status} without error_code thread_unsupported_request: {quoted(json.dumps(answer.error))}"
        )
