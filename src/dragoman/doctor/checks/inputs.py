"""Checks of inputs that a model may not support: the conversation must be able to continue."""

from typing import Any

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed
from dragoman.doctor.client import Client
from dragoman.doctor.request_fixtures import ASK_WEATHER, TOOLS, assistant, body, call, result, system, text, user

SUBJECT = Subject("inputs")
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A PNG image of one pixel."""


async def _survives(client: Client, request: dict[str, Any], token: str) -> None:
    """The request is answered, or refused with the text that makes Claude Code drop the block from then on (CC-8)."""
    answer = await client.post(request)
    if answer.status != 200 and f"capability_rejected: {token}" not in answer.excerpt:
        raise CheckFailed(f"answered {answer.status} without `capability_rejected: {token}`: {answer.excerpt}")


@SUBJECT.check("an image in a result does not end the session", "any other refusal makes every later turn fail", "IN-4", "CC-8")
async def image(client: Client) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DOT}}
    looked = assistant([call("toolu_1", "get_weather", {"place": "Ulm", "days": 1})])
    await _survives(
        client,
        body(ASK_WEATHER, looked, user([result("toolu_1", content=[picture])]), tools=TOOLS, max_tokens=2),
        "image_block",
    )


@SUBJECT.check("a document does not end the session", "any other refusal makes every later turn fail", "IN-5", "CC-8")
async def document(client: Client) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "It rains in Ulm."}
    await _survives(client, body(user([{"type": "document", "source": source}, text("Rain?")]), max_tokens=2), "document_block")


@SUBJECT.check(
    "a system message in the middle is accepted",
    "Claude Code sends one after the first user message of each session",
    "REQ-11",
    "REQ-12",
)
async def system_message(client: Client) -> None:
    late = [user("Hello."), assistant("Hello."), user("What now?"), system("Answer in one word.")]
    await client.message(body(*late, system="You help.", max_tokens=2))


@SUBJECT.check("an unknown block is refused by name", "user content is lost without an error", "IN-13")
async def unknown_block(client: Client) -> None:
    answer = await client.post(body(user([{"type": "hologram", "data": "x"}, text("What is it?")]), max_tokens=2))
    answer.expect(400)
    if "hologram" not in answer.excerpt:
        raise CheckFailed(f"the message is: {answer.excerpt}")
