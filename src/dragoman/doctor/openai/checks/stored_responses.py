"""Checks of stored responses. They skip on a server that stores none, where another check sees that it says so."""

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip
from dragoman.doctor.client import Client
from dragoman.doctor.openai.form import Object, objects
from dragoman.doctor.openai.responses_form import RESPONSES

SUBJECT = Subject("stored responses")


async def _stored(client: Client) -> Object:
    """A response that the server was asked to store."""
    asked = RESPONSES.user(f"{client.nonce}: tell me of oaks and their seeds.")
    return (await client.post(RESPONSES.body(asked, limit=16, store=True))).expect(200).object


async def _path(client: Client) -> str:
    """The path of a stored response; skips if the server does not claim to have stored it."""
    response = await client.once(_stored)
    if response.get("store") is False:
        raise Skip("the server stores no responses, and says so")
    return f"/v1/responses/{response.get('id')}"


@SUBJECT.check("a stored response can be retrieved", "clients poll and show it again", "RSP-13")
async def retrieve(client: Client) -> None:
    found = (await client.ask("GET", await _path(client))).expect(200).object
    if found.get("id") != (response := await client.once(_stored)).get("id") or found.get("output") != response.get("output"):
        raise CheckFailed("it differs from the one that was sent")


@SUBJECT.check("its input can be listed", "clients restore a conversation from it", "RSP-13")
async def input_items(client: Client) -> None:
    page = (await client.ask("GET", f"{await _path(client)}/input_items")).expect(200).object
    items = objects(page.get("data"), "data")
    if not items or client.nonce not in str(items[0]):
        raise CheckFailed(f"the items are {items!r:.100}")


@SUBJECT.check("the next request can continue it", "clients send only what is new", "RSP-13")
async def continued(client: Client) -> None:
    await _path(client)
    before = RESPONSES.read(await client.once(_stored))
    identifier = (await client.once(_stored)).get("id")
    reply = await RESPONSES.reply(client, RESPONSES.body(RESPONSES.user("Go on."), limit=16, previous_response_id=identifier))
    if reply.prompt_tokens <= before.prompt_tokens:
        raise CheckFailed(f"{before.prompt_tokens} tokens before, {reply.prompt_tokens} in the request that continues it")


@SUBJECT.check(
    "an unknown previous response is refused by its code", "clients then send the whole conversation", "RSP-13", "RSP-11"
)
async def unknown_previous(client: Client) -> None:
    answer = await client.post(RESPONSES.body(limit=16, previous_response_id="resp_0123456789abcdef"))
    if answer.status == 200:
        raise CheckFailed("it is answered without the conversation")
    code = answer.expect(400).error.get("code")
    if code != "previous_response_not_found":
        raise CheckFailed(f"the code is {code!r}: {answer.excerpt}")


@SUBJECT.check("with `store: false` nothing is kept", "users rely on it for what must not be kept", "RSP-14")
async def not_stored(client: Client) -> None:
    response = (await client.post(RESPONSES.body(limit=16))).expect(200).object
    answer = await client.ask("GET", f"/v1/responses/{response.get('id')}")
    if answer.status != 404:
        raise CheckFailed(f"its response is answered {answer.status}")


@SUBJECT.check("a stored response can be deleted", "clients clean up when a session ends", "RSP-13")
async def delete(client: Client) -> None:
    path = await _path(client)
    (await client.ask("DELETE", path)).expect(200)
    (await client.ask("GET", path)).expect(404)
