"""Checks of paths, headers and keys."""

import asyncio

from dragoman.doctor.api import MESSAGES
from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip
from dragoman.doctor.client import COUNT, MODELS, Client
from dragoman.doctor.expectations import expect_distinct, expect_json_type, expect_several_at_once
from dragoman.doctor.request_fixtures import body

SUBJECT = Subject("transport")
SHORT = body(max_tokens=1)


@SUBJECT.check("every answer has its own request-id", "a client's report cannot be matched with a log line", "TRN-6")
async def request_id(client: Client) -> None:
    answers = [await client.post(SHORT), await client.post(SHORT), await client.ask("GET", "/v1/nowhere")]
    expect_distinct(answers, "request-id")


@SUBJECT.check("a message is declared as JSON", "the Node SDK returns a string instead of a message", "TRN-4")
async def json_type(client: Client) -> None:
    expect_json_type((await client.post(SHORT)).expect(200))


@SUBJECT.check("the API is under /anthropic too", "the base URL of many clients ends in /anthropic", "TRN-1")
async def prefix(client: Client) -> None:
    (await client.post(SHORT, f"/anthropic{MESSAGES}")).expect(200)
    (await client.ask("GET", f"/anthropic{MODELS}")).expect(200)


@SUBJECT.check(
    "a query string does not change the route", "Claude Code and older SDKs post to /v1/messages?beta=true", "TRN-2", "CC-1"
)
async def query(client: Client) -> None:
    (await client.post(SHORT, f"{MESSAGES}?beta=true")).expect(200)


@SUBJECT.check("nothing is redirected", "a redirected POST is lost; Claude Code's model discovery fails", "TRN-10")
async def no_redirect(client: Client) -> None:
    answers = [(path, await client.ask("GET", path)) for path in (f"{MODELS}?limit=1000", f"{MODELS}/")]
    answers.append((f"{MESSAGES}/", await client.post(SHORT, f"{MESSAGES}/")))
    for path, answer in answers:
        if 300 <= answer.status < 400:
            raise CheckFailed(f"{path} is redirected ({answer.status}) to {answer.headers.get('location')}")


@SUBJECT.check("probes are answered", "clients and supervisors request / and /api/hello first", "CC-1")
async def probes(client: Client) -> None:
    for path in ("/", "/api/hello"):
        answer = await client.ask("HEAD", path)
        if answer.status >= 300 and answer.status not in (401, 404):
            raise CheckFailed(f"HEAD {path} is answered {answer.status}")


@SUBJECT.check("both versions of the API are accepted", "SDKs before and after 2.0 send different versions", "TRN-8")
async def versions(client: Client) -> None:
    for version in ("2023-06-01", "2026-10-21"):
        answer = await client.post(body(max_tokens=1, temperature=None), anthropic_version=version)
        if answer.status != 200:
            raise CheckFailed(f"anthropic-version {version} is answered {answer.status}: {answer.excerpt}")


@SUBJECT.check("the key may come in either header", "SDKs before 2.0 send x-api-key, later ones Bearer", "AUTH-1", "AUTH-4")
async def key_headers(client: Client) -> None:
    key = client.key or "any"
    for headers in ({"x_api_key": key}, {"x_api_key": None, "authorization": f"Bearer {key}"}):
        answer = await client.post(SHORT, **headers)
        if answer.status != 200:
            name = "authorization: Bearer" if "authorization" in headers else "x-api-key"
            raise CheckFailed(f"with {name} it is answered {answer.status}: {answer.excerpt}")


@SUBJECT.check("a wrong key is a 401 authentication_error", "clients retry everything else for minutes", "AUTH-3")
async def wrong_key(client: Client) -> None:
    answer = await client.post(SHORT, x_api_key="certainly-wrong")
    if answer.status == 200:
        raise Skip("the server has no key")
    kind = answer.expect(401).error.get("type")
    if kind != "authentication_error":
        raise CheckFailed(f"the error's type is {kind}")


@SUBJECT.check("unknown betas are accepted", "each release of Claude Code sends new ones", "BETA-1")
async def unknown_beta(client: Client) -> None:
    (await client.post(SHORT, anthropic_beta="brand-new-2027-01-01,another-one")).expect(200)


@SUBJECT.check("unknown fields are accepted", "clients add fields with each release", "BETA-2", "REQ-19")
async def unknown_field(client: Client) -> None:
    (await client.post({**SHORT, "brand_new_field": {"x": 1}, "stop_sequences": None})).expect(200)


@SUBJECT.check("several requests at once are answered", "sub-agents, titles and probes arrive at the same time", "CC-6")
async def several_at_once(client: Client) -> None:
    await expect_several_at_once(client, SHORT)


@SUBJECT.check("a burst of counts is answered", "Claude Code's /context requests two dozen at once", "CC-1", "CNT-1")
async def burst_of_counts(client: Client) -> None:
    requests = [{"messages": [{"role": "user", "content": f"word {number}"}]} for number in range(24)]
    for answer in await asyncio.gather(*(client.post(one, COUNT) for one in requests)):
        answer.expect(200)
