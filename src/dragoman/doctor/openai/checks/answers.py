"""Checks of whole answers that both formats have in common: limits, formats, forms of the conversation."""

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip, no_markup
from dragoman.doctor.client import Client
from dragoman.doctor.expectations import expect_schema
from dragoman.doctor.openai.form import Form, Object
from dragoman.doctor.openai.requests import ASK_FORM, FORM_SCHEMA, TALE, form_of

SUBJECT = Subject("answers")
WORDS = ("Be brief.", "Be brief, and speak of trees and seeds only. " * 4)
MARKUP = ("<think>", "</think>", "<|channel|>", "[THINK]")


@SUBJECT.check("the model is called by the requested name", "clients look up limits and prices by it", "RES-3")
async def model_echo(client: Client) -> None:
    form = form_of(client)
    if (name := (await form.reply(client, form.body(limit=16))).model) != client.model:
        raise CheckFailed(f"requested {client.model}, the answer has {name}")


@SUBJECT.check(
    "a limit of tokens ends an answer and is reported", "clients continue on their own when they read it", "OAI-10", "RSP-10"
)
async def limit(client: Client) -> None:
    form = form_of(client)
    reply = await form.reply(client, form.body(form.user(TALE), limit=16))
    if reply.output_tokens > 16:
        raise CheckFailed(f"{reply.output_tokens} tokens were written, 16 were allowed")
    if not reply.cut and reply.output_tokens < 16:
        raise Skip("the model ended before it")
    if not reply.cut:
        raise CheckFailed("the answer does not say that it was cut")


@SUBJECT.check("a limit beyond the window is not an error", "clients request 32,000 tokens from every model", "REQ-4")
async def limit_huge(client: Client) -> None:
    form = form_of(client)
    async with client.opened(form.body(form.user(TALE), limit=(client.window or 500_000) * 2)) as arrivals:
        async for stream in arrivals:
            if stream.status != 200:
                raise CheckFailed(f"answered {stream.status}")
            if len(stream.events) > 3:
                return


@SUBJECT.check(
    "system and developer messages are read, wherever they stand", "agents send both, also late ones", "REQ-12", "RSP-3"
)
async def late_instructions(client: Client) -> None:
    form = form_of(client)
    for late in (False, True):
        lengths = [await _length(client, form.body(*_conversation(form, words, late=late), limit=16)) for words in WORDS]
        if lengths[1] < lengths[0] + 20:
            what = "developer" if late else "system"
            raise CheckFailed(f"{lengths[0]} tokens with a short {what} message, {lengths[1]} with a long one")


def _conversation(form: Form, words: str, *, late: bool) -> list[list[Object]]:
    """A conversation with a system message and a later developer message, of which one has these words."""
    first, second = ("Be kind.", words) if late else (words, "Be kind.")
    system, developer = [{"role": "system", "content": first}], [{"role": "developer", "content": second}]
    return [system, form.user("Hello."), form.assistant("Hello."), developer, form.user("Go on.")]


async def _length(client: Client, request: Object) -> int:
    return (await form_of(client).reply(client, request)).prompt_tokens


@SUBJECT.check("a JSON schema is enforced", "`parse()` of the SDK raises on anything else", "OAI-5", "STR-3")
async def json_schema(client: Client) -> None:
    form = form_of(client)
    reply = await form.reply(client, form.body(form.user(ASK_FORM), limit=64, **form.json_schema(FORM_SCHEMA)))
    expect_schema(reply.text, FORM_SCHEMA)


@SUBJECT.check("no reasoning leaks into the text", "users read it, and it comes back as text of the model", "THK-6", "RSP-7")
async def reasoning_apart(client: Client) -> None:
    form = form_of(client)
    reply = await form.reply(client, form.body(form.user("What is 17 + 25?"), limit=160))
    no_markup(reply.text, MARKUP)
