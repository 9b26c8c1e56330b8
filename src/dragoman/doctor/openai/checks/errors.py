"""Checks of errors: clients decide by status, code and message whether to retry, to compact or to give up."""

from collections.abc import Mapping

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.checks.errors import ASSUMED_WINDOW
from dragoman.doctor.client import Answer, Client
from dragoman.doctor.openai.requests import form_of

SUBJECT = Subject("errors")


async def _refusals(client: Client) -> Mapping[str, Answer]:
    """The answers to three invalid requests."""
    form = form_of(client)
    return {
        "a body that is not JSON": await client.ask("POST", client.api.path, b'{"model": '),
        "an unknown path": await client.ask("GET", f"{client.api.path}/no/where"),
        "content that is a number": await client.post({form.turns_field: [{"role": "user", "content": 5}]}),
    }


@SUBJECT.check("every failure has the API's shape", "the SDK reads message, type, param and code from it", "OAI-8", "RSP-11")
async def error_shape(client: Client) -> None:
    for what, answer in (await client.once(_refusals)).items():
        error = answer.error
        named = all(isinstance(error.get(name), str) for name in ("message", "type"))
        if not named or not all(name in error and isinstance(error[name], str | None) for name in ("param", "code")):
            raise CheckFailed(f"{what} is answered {quoted(answer.body.decode(errors='replace'))}")


@SUBJECT.check("a broken body is a 400 invalid_request_error", "422 and 500 are retried, or mean something else", "ERR-3")
async def bad_json(client: Client) -> None:
    refusals = await client.once(_refusals)
    for what in ("a body that is not JSON", "content that is a number"):
        answer = refusals[what]
        if answer.status != 400:
            raise CheckFailed(f"{what} is answered {answer.status}: {answer.excerpt}")
        if answer.error.get("type") != "invalid_request_error":
            raise CheckFailed(f"{what} is of type {answer.error.get('type')!r}")


@SUBJECT.check("`param` names the field that is wrong", "people and clients find the mistake by it", "OAI-8", "RSP-11")
async def error_param(client: Client) -> None:
    answer = (await client.once(_refusals))["content that is a number"]
    param = answer.error.get("param")
    if not isinstance(param, str) or not param.startswith(form_of(client).turns_field):
        raise CheckFailed(f"param is {param!r}")


@SUBJECT.check("an unknown path is a 404", "clients probe for endpoints and fall back by this", "ERR-2")
async def unknown_route(client: Client) -> None:
    (await client.once(_refusals))["an unknown path"].expect(404)


@SUBJECT.check("an unknown model is a 404 model_not_found", "clients recognise a wrong name by it", "ERR-10", "OAI-8", "RSP-11")
async def unknown_model(client: Client) -> None:
    answer = await client.post({**form_of(client).body(limit=16), "model": "no-such-model"})
    answer.expect(404)
    if answer.error.get("code") != "model_not_found" or "no-such-model" not in answer.excerpt:
        raise CheckFailed(f"{answer.error.get('code')}: {answer.excerpt}")


@SUBJECT.check("an early failure is not a stream", "a client retries a status, and loses an error inside a stream", "ERR-8")
async def early_status(client: Client) -> None:
    answer = await client.post({form_of(client).turns_field: [{"role": "user", "content": 5}], "stream": True})
    if answer.status < 400:
        raise CheckFailed(f"a request with content that is a number is answered {answer.status}: {answer.excerpt}")
    if "json" not in answer.headers.get("content-type", ""):
        raise CheckFailed(f"content-type: {answer.headers.get('content-type')}")


@SUBJECT.check(
    "a prompt beyond the window is a 400 context_length_exceeded",
    "clients compact when they read this, and fail otherwise",
    "ERR-11",
    "OAI-8",
    "RSP-11",
)
async def overflow(client: Client) -> None:
    form = form_of(client)
    words = "word " * (client.window + 500 if client.window else ASSUMED_WINDOW)
    answer = await client.post(form.body(form.user(words), limit=16))
    if answer.status == 200 and not client.window:
        raise Skip(f"the context window is not reported, and holds {ASSUMED_WINDOW} words")
    answer.expect(400)
    if answer.error.get("code") != "context_length_exceeded":
        raise CheckFailed(f"the code is {answer.error.get('code')!r}: {answer.excerpt}")
