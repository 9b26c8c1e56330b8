"""Checks of an agent's session: a large request, and the reuse of its prompt in the next turns.

The number of cached tokens is what the server reports in `cache_read_input_tokens`. A server with a cache that does not report
it fails too, since its users cannot see when they lose the cache.
"""

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip
from dragoman.doctor.client import Client
from dragoman.doctor.message import Message
from dragoman.doctor.request_fixtures import BETAS, agent, assistant, first_turns, system, text, user

SUBJECT = Subject("agent")


async def _first(client: Client) -> Message:
    """The first turn of a session."""
    return await client.message(agent(*first_turns(), nonce=client.nonce), anthropic_beta=BETAS)


def _reused(before: Message, after: Message, share: float) -> None:
    """Raise `CheckFailed` if less than that share of the earlier prompt was read from the cache."""
    if after.usage.cached < share * before.usage.prompt:
        raise CheckFailed(f"of the {before.usage.prompt} tokens before, {after.usage.cached} were read from the cache")


@SUBJECT.check("Claude Code's first request is accepted", "the session does not begin", "CC-2", "CC-1")
async def first_request(client: Client) -> None:
    stream = await client.stream(agent(*first_turns(), nonce=client.nonce), anthropic_beta=BETAS)
    if stream.status != 200:
        answer = await client.post(agent(*first_turns(), nonce=client.nonce), anthropic_beta=BETAS)
        raise CheckFailed(f"answered {stream.status}: {answer.excerpt}")
    if not stream.of("message_stop"):
        raise CheckFailed(f"the stream ends with {stream.events[-1].type if stream.events else 'nothing'}")


@SUBJECT.check(
    "the next turn reuses the cached prompt of the last one",
    "each turn reads the whole conversation again: minutes on a long one",
    "CACHE-4",
    "USE-5",
)
async def next_turn(client: Client) -> None:
    before = await _started(client)
    turns = [*first_turns(marked=False), assistant("Hello."), user([text("And again.", cache_control={"type": "ephemeral"})])]
    after = await client.message(agent(*turns, nonce=client.nonce), anthropic_beta=BETAS)
    _reused(before, after, 0.9)


@SUBJECT.check(
    "a volatile first line does not cost the cache", "Claude Code's attribution line differs in every session", "CC-4"
)
async def billing_line(client: Client) -> None:
    before = await _started(client)
    after = await client.message(agent(*first_turns(), fingerprint="b2e", nonce=client.nonce), anthropic_beta=BETAS)
    _reused(before, after, 0.9)


@SUBJECT.check("a late system message is not moved to the top", "everything after the top is read again", "REQ-12", "CACHE-4")
async def system_in_place(client: Client) -> None:
    before = await _started(client)
    turns = [*first_turns(marked=False), assistant("Hello."), user("Go on."), system("The user has opened another folder.")]
    after = await client.message(agent(*turns, nonce=client.nonce), anthropic_beta=BETAS)
    _reused(before, after, 0.9)


@SUBJECT.check("usage in a stream has the cached tokens", "clients show the cache from the stream", "USE-2", "SSE-5")
async def cache_in_stream(client: Client) -> None:
    before = await _started(client)
    stream = await client.streamed(agent(*first_turns(), nonce=client.nonce), anthropic_beta=BETAS)
    _reused(before, stream.fold(), 0.9)


async def _started(client: Client) -> Message:
    try:
        return await client.once(_first)
    except CheckFailed as failure:
        raise Skip("the first request of the session is refused") from failure
