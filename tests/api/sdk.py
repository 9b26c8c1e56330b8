"""Reads our bytes with the official SDK: its client and its accumulator, over a transport that returns a given answer."""

from collections.abc import Iterable

import anthropic
import httpx2

from dragoman.api.anthropic.events import Event, frame

_ASK = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "Hi"}]}


def _client(content: bytes, content_type: str) -> anthropic.Anthropic:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type, "request-id": "req_1"}, content=content)

    return anthropic.Anthropic(
        api_key="none",
        base_url="http://dragoman.test",
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
        max_retries=0,
        _strict_response_validation=True,
    )


def streamed(events: Iterable[Event]) -> anthropic.types.Message:
    """The message that the SDK accumulates from the events' bytes, every event checked against its type."""
    with _client(b"".join(map(frame, events)), "text/event-stream") as client, client.messages.stream(**_ASK) as stream:
        return stream.get_final_message()


def collected(body: bytes) -> anthropic.types.Message:
    """The message that the SDK makes of a non-streamed answer, checked against its type."""
    with _client(body, "application/json") as client:
        return client.messages.create(**_ASK)


def beta_streamed(events: Iterable[Event]) -> anthropic.types.beta.BetaMessage:
    """The same as `streamed`, with the beta types."""
    with _client(b"".join(map(frame, events)), "text/event-stream") as client, client.beta.messages.stream(**_ASK) as stream:
        return stream.get_final_message()


def beta_collected(body: bytes) -> anthropic.types.beta.BetaMessage:
    """The same as `collected`, with the beta types."""
    with _client(body, "application/json") as client:
        return client.beta.messages.create(**_ASK)
