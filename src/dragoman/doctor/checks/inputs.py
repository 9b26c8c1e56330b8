"""Checks of inputs that a model may not support: the conversation must be able to continue."""

from typing import Any

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip
from dragoman.doctor.client import Client
from dragoman.doctor.pdf import pdf as pdf_of
from dragoman.doctor.request_fixtures import ASK_WEATHER, TOOLS, assistant, body, call, result, system, text, user

SUBJECT = Subject("inputs")
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A PNG image of one pixel."""


ASK = text("What is it?")


def _image() -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DOT}}


def _pdf(*lines: str) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": pdf_of(*lines)}}


def _claimed(client: Client, capability: str) -> None:
    """Skip the check unless the model has this capability by `/v1/models`."""
    if not client.claims(capability):
        raise Skip(f"the model does not claim {capability}")


async def _survives(client: Client, request: dict[str, Any], token: str) -> None:
    """The request is answered, or refused with the text that makes Claude Code drop the block from then on (CC-8)."""
    answer = await client.post(request)
    if answer.status != 200 and f"capability_rejected: {token}" not in answer.excerpt:
        raise CheckFailed(f"answered {answer.status} without `capability_rejected: {token}`: {answer.excerpt}")


@SUBJECT.check("an image in a result does not end the session", "any other refusal makes every later turn fail", "IN-4", "CC-8")
async def image(client: Client) -> None:
    looked = assistant([call("toolu_1", "get_weather", {"place": "Ulm", "days": 1})])
    await _survives(
        client,
        body(ASK_WEATHER, looked, user([result("toolu_1", content=[_image()])]), tools=TOOLS, max_tokens=2),
        "image_block",
    )


@SUBJECT.check("a document does not end the session", "any other refusal makes every later turn fail", "IN-5", "CC-8")
async def document(client: Client) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "It rains in Ulm."}
    await _survives(client, body(user([{"type": "document", "source": source}, text("Rain?")]), max_tokens=2), "document_block")


@SUBJECT.check("a PDF in a result does not end the session", "any other refusal makes every later turn fail", "IN-5", "CC-8")
async def pdf(client: Client) -> None:
    read = assistant([call("toolu_1", "get_weather", {"place": "Ulm", "days": 1})])
    document = _pdf("It rains in Ulm.")
    await _survives(
        client,
        body(ASK_WEATHER, read, user([result("toolu_1", content=[document])]), tools=TOOLS, max_tokens=2),
        "document_block",
    )


@SUBJECT.check("with pdf_input the text of a PDF is read", "the model talks about a file that it never got", "IN-5", "MOD-5")
async def pdf_text(client: Client) -> None:
    _claimed(client, "pdf_input")
    lines = ["The rain in Ulm falls on the river and on the roofs of the town."] * 20
    short, long = [await client.count({"messages": [user([_pdf(*text), ASK])]}) for text in (lines[:1], lines)]
    if long < short + 19 * 10:
        raise CheckFailed(f"a PDF with one line has {short} tokens, one with twenty lines {long}")


@SUBJECT.check("with image_input an image is counted as it is used", "compaction comes too late or too often", "CNT-2", "MOD-5")
async def image_count(client: Client) -> None:
    _claimed(client, "image_input")
    request = body(user([_image(), ASK]), max_tokens=1)
    count = await client.count({"messages": request["messages"]})
    prompt = (await client.message(request)).usage.prompt
    if count != prompt:
        raise CheckFailed(f"counted {count} tokens, the message's usage adds up to {prompt}")


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
