"""Messages for the model, and helpers that send them."""

from collections.abc import Sequence

import anthropic
import pytest
from anthropic import Anthropic
from anthropic.types import Message, MessageParam, RawMessageStreamEvent, ToolParam

GREEDY = {"temperature": 0.0}
SUM: list[MessageParam] = [{"role": "user", "content": "What is 2+2? Answer with one number."}]
STORY: list[MessageParam] = [{"role": "user", "content": "Tell me a very long story about the sea."}]
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "The weather in a place.",
    "input_schema": {
        "type": "object",
        "properties": {
            "place": {"type": "string", "maxLength": 12},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
            "unit": {"enum": ["c", "f"]},
        },
        "required": ["place", "days"],
    },
}


def create(client: Anthropic, messages: list[MessageParam], max_tokens: int = 16, **fields: object) -> Message:
    message = client.messages.create(
        model="claude-local", max_tokens=max_tokens, messages=messages, extra_body=GREEDY, **fields
    )
    assert isinstance(message, Message)
    return message


def start_streams(model: Anthropic) -> list[anthropic.Stream[RawMessageStreamEvent]]:
    """Three long streams, each of which has started."""
    streams = [model.messages.create(model="claude-local", max_tokens=1500, messages=STORY, stream=True) for _ in range(3)]
    for stream in streams:
        assert next(event for event in stream if event.type == "content_block_delta")
    return streams


def assert_failed(streams: Sequence[anthropic.Stream[RawMessageStreamEvent]]) -> None:
    """Check that each stream ends with an error event."""
    for stream in streams:
        with pytest.raises(anthropic.APIStatusError) as raised:
            list(stream)
        assert raised.value.type == "api_error"


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")
