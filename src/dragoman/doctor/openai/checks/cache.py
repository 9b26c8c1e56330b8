"""Checks of the reuse of a prompt in the next turn, as the server reports it in `cached_tokens`."""

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed
from dragoman.doctor.client import Client
from dragoman.doctor.openai.requests import form_of, with_tools

SUBJECT = Subject("cache")


@SUBJECT.check(
    "the next turn reuses the cached prompt of the last one",
    "each turn reads the whole conversation again: minutes on a long one",
    "CACHE-4",
    "USE-5",
)
async def next_turn(client: Client) -> None:
    form = form_of(client)
    asked = form.user(f"{client.nonce}: describe a lighthouse. " + "Say what it is made of, and who lives there. " * 6)
    before = await form.reply(client, with_tools(form, asked, tool_choice="none", limit=16))
    turns = [asked, form.assistant(before.text or "Hello."), form.user("Go on.")]
    after = await form.reply(client, with_tools(form, *turns, tool_choice="none", limit=16))
    if after.cached_tokens < 0.9 * before.prompt_tokens:
        raise CheckFailed(f"of the {before.prompt_tokens} tokens before, {after.cached_tokens} were read from the cache")
