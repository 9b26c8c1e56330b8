"""Checks of headers, keys and several requests at once."""

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip
from dragoman.doctor.client import Client
from dragoman.doctor.expectations import expect_distinct, expect_json_type, expect_several_at_once
from dragoman.doctor.openai.requests import form_of

SUBJECT = Subject("transport")


@SUBJECT.check("every answer has its own x-request-id", "the SDK shows it in errors and logs", "TRN-6")
async def request_id(client: Client) -> None:
    body = form_of(client).body(limit=16)
    answers = [await client.post(body), await client.post(body), await client.ask("GET", "/v1/nowhere")]
    expect_distinct(answers, "x-request-id")


@SUBJECT.check("an answer is declared as JSON", "the SDK returns a string instead of an answer", "TRN-4")
async def json_type(client: Client) -> None:
    expect_json_type((await client.post(form_of(client).body(limit=16))).expect(200))


@SUBJECT.check("any key is a Bearer token", "the SDK sends it so, also to servers without keys", "AUTH-1", "AUTH-4")
async def key_header(client: Client) -> None:
    answer = await client.post(form_of(client).body(limit=16), authorization=f"Bearer {client.key or 'any'}")
    answer.expect(200)


@SUBJECT.check("a wrong key is a 401 invalid_api_key", "clients retry everything else for minutes", "AUTH-3", "OAI-8", "RSP-11")
async def wrong_key(client: Client) -> None:
    answer = await client.post(form_of(client).body(limit=16), authorization="Bearer certainly-wrong")
    if answer.status == 200:
        raise Skip("the server has no key")
    code = answer.expect(401).error.get("code")
    if code != "invalid_api_key":
        raise CheckFailed(f"the code is {code!r}")


@SUBJECT.check("unknown fields are accepted", "clients add fields with each release", "BETA-2")
async def unknown_field(client: Client) -> None:
    (await client.post(form_of(client).body(limit=16, brand_new_field={"x": 1}))).expect(200)


@SUBJECT.check("several requests at once are answered", "sub-agents, titles and probes arrive at the same time", "CC-6")
async def several_at_once(client: Client) -> None:
    await expect_several_at_once(client, form_of(client).body(limit=16))
