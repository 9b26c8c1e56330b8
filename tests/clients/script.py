"""Uses the SDK as its users do: `script.py URL VERSION`, with that release line of it first on the path."""

import sys
from collections.abc import Callable
from typing import Any

import anthropic

HELLO: list[Any] = [{"role": "user", "content": "Hello."}]
TOOL: Any = {
    "name": "get_weather",
    "description": "Weather of a place.",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


def main(url: str, version: str) -> None:
    assert anthropic.__version__.startswith(version), anthropic.__version__
    with anthropic.Anthropic(base_url=url, api_key="secret", max_retries=0, _strict_response_validation=True) as client:
        model = models(client)
        creates(client, model)
        streams(client, model)
        betas(client, model)
        uses_tools(client, model)
        fails(client, model)


def models(client: Any) -> str:
    listed = [model.id for model in client.models.list(limit=1)]
    assert listed[1:] == ["small", "org/model", f"claude-{listed[0]}"], listed
    assert client.models.retrieve("org/model").id == listed[0]
    return str(listed[0])


def creates(client: Any, model: str) -> None:
    message = client.messages.create(model=model, max_tokens=3000, messages=HELLO, thinking=THINKING, system="You are a duck.")
    assert [block.type for block in message.content] == ["thinking", "text"], message
    assert message.content[0].signature
    assert message.stop_reason == "end_turn"
    assert message._request_id.startswith("req_")
    counted = client.messages.count_tokens(model=model, messages=HELLO, thinking=THINKING, system="You are a duck.")
    assert counted.input_tokens == message.usage.input_tokens


def streams(client: Any, model: str) -> None:
    with client.messages.stream(model=model, max_tokens=3000, messages=HELLO, thinking=THINKING) as stream:
        types = {event.type for event in stream}
        message = stream.get_final_message()
    assert {"thinking", "text", "message_stop"} <= types, types
    whole = client.messages.create(model=model, max_tokens=3000, messages=HELLO, thinking=THINKING)
    assert common_fields(message) == common_fields(whole)
    with client.messages.create(model=model, max_tokens=3000, messages=HELLO, stream=True) as events:
        assert [event.type for event in events][-1] == "message_stop"


def common_fields(message: Any) -> Any:
    """The fields of a message that every release line has: 0.76 ignores the usage details at the end of a stream."""
    blocks = [block.model_dump(exclude={"parsed_output"}) for block in message.content]
    return blocks, message.stop_reason, message.stop_sequence, message.usage.input_tokens, message.usage.output_tokens


def betas(client: Any, model: str) -> None:
    message = client.beta.messages.create(
        model=model,
        max_tokens=3000,
        messages=HELLO,
        betas=["interleaved-thinking-2025-05-14", "token-efficient-tools-2025-02-19"],
    )
    assert message.content[-1].type == "text"
    assert client.beta.messages.count_tokens(model=model, messages=HELLO).input_tokens


def uses_tools(client: Any, model: str) -> None:
    turns = [{"role": "user", "content": "Weather in Ulm?"}]
    with client.messages.stream(model=model, max_tokens=3000, messages=turns, tools=[TOOL]) as stream:
        first = stream.get_final_message()
    call = first.content[-1]
    assert (call.type, call.name, call.input, first.stop_reason) == ("tool_use", "get_weather", {"place": "Ulm"}, "tool_use")
    turns.append({"role": "assistant", "content": first.content})
    turns.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "rain, 12 degrees"}]})
    second = client.messages.create(model=model, max_tokens=3000, messages=turns, tools=[TOOL])
    assert second.content[-1].text == "It rains in Ulm."


def fails(client: Any, model: str) -> None:
    attempts: list[tuple[type[Exception], Any]] = [
        (anthropic.NotFoundError, lambda: client.messages.create(model="gpt-9", max_tokens=1, messages=HELLO)),
        (anthropic.BadRequestError, lambda: client.messages.create(model=model, max_tokens=1, messages=[])),
        (anthropic.AuthenticationError, client.with_options(api_key="x").models.list),
        (anthropic.APIStatusError, lambda: client.messages.stream(model="gpt-9", max_tokens=1, messages=HELLO).__enter__()),
    ]
    for kind, attempt in attempts:
        error: Any = raised(kind, attempt)
        assert error.request_id.startswith("req_"), error
        assert error.body["type"] == "error", error.body


def raised(kind: type[Exception], attempt: Callable[[], object]) -> Exception:
    try:
        attempt()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


if __name__ == "__main__":
    main(*sys.argv[1:])
