"""Checks of inputs that a model may not support: the conversation must be able to continue."""

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed
from dragoman.doctor.checks.inputs import DOT
from dragoman.doctor.client import Client
from dragoman.doctor.openai.requests import form_of

SUBJECT = Subject("inputs")


@SUBJECT.check("an image is seen, or refused as the client's error", "a 500 is retried for minutes", "IN-4", "RSP-3")
async def image(client: Client) -> None:
    form = form_of(client)
    answer = await client.post(form.body(form.image("What is it?", f"data:image/png;base64,{DOT}"), limit=16))
    if answer.status not in (200, 400):
        raise CheckFailed(f"answered {answer.status}: {answer.excerpt}")


@SUBJECT.check(
    "content of an unknown type is refused by name", "user content is lost without an error", "IN-13", "OAI-6", "RSP-9"
)
async def unknown_content(client: Client) -> None:
    form = form_of(client)
    answer = await client.post(form.body([{"role": "user", "content": [{"type": "hologram", "data": "x"}]}], limit=16))
    answer.expect(400)
    if "hologram" not in answer.excerpt:
        raise CheckFailed(f"the message is: {answer.excerpt}")
