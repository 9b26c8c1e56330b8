"""The steps of the official SDK and its tool runner, which requests threads on its own (THR-1..3)."""

from typing import Any

from anthropic import Anthropic, beta_tool
from pydantic import BaseModel
from steps import (
    A_DOT,
    AND_SUN,
    ASK_CITY,
    ASK_ON,
    ASK_PAGES,
    ASK_PICTURE,
    ASK_THOUGHT,
    ASK_WEATHER,
    CITY,
    HELLO,
    HELLO_THERE,
    IT_RAINS,
    KEY,
    MAX_TOKENS,
    MODEL,
    PAGES_SAY,
    PDF,
    PNG,
    THOUGHT,
    URL,
    WEATHER,
    base64,
    refused,
    run_steps,
    same,
)

client = Anthropic(base_url=URL, auth_token=KEY, max_retries=0)
defaults = {"model": MODEL, "max_tokens": MAX_TOKENS}


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def message() -> None:
    same(client.messages.create(**defaults, messages=user(HELLO)).content[0].text, HELLO_THERE)


def stream() -> None:
    with client.messages.stream(**defaults, messages=user(HELLO)) as events:
        same("".join(events.text_stream), HELLO_THERE)
        same(events.get_final_message().stop_reason, "end_turn")


@beta_tool
def get_weather(place: str) -> str:
    """Weather of a place.

    Args:
        place: Its name.
    """
    same(place, "Ulm")
    return WEATHER


def tools() -> None:
    for streamed in (False, True):
        runner = client.beta.messages.tool_runner(**defaults, messages=user(ASK_WEATHER), tools=[get_weather], stream=streamed)
        same(runner.until_done().content[0].text, IT_RAINS)


def thinking() -> None:
    turns = user(ASK_THOUGHT)
    answer = client.messages.create(**defaults, messages=turns, thinking={"type": "adaptive"})
    same([block.type for block in answer.content], ["thinking", "text"])
    same(answer.content[0].thinking, THOUGHT)
    turns += [{"role": "assistant", "content": answer.content}, *user(ASK_ON)]
    same(client.messages.create(**defaults, messages=turns, thinking={"type": "adaptive"}).content[0].text, AND_SUN)


class City(BaseModel):
    city: str


def structured() -> None:
    same(client.messages.parse(**defaults, messages=user(ASK_CITY), output_format=City).parsed_output, City(city=CITY))


def source(media_type: str, file: Any) -> dict[str, str]:
    return {"type": "base64", "media_type": media_type, "data": base64(file)}


def image() -> None:
    content = [{"type": "image", "source": source("image/png", PNG)}, {"type": "text", "text": ASK_PICTURE}]
    same(client.messages.create(**defaults, messages=[{"role": "user", "content": content}]).content[0].text, A_DOT)


def pdf() -> None:
    content = [{"type": "document", "source": source("application/pdf", PDF)}, {"type": "text", "text": ASK_PAGES}]
    turns: Any = [{"role": "user", "content": content}]
    answer = client.messages.create(**defaults, messages=turns)
    same(answer.content[0].text, PAGES_SAY)
    same(answer.usage.input_tokens, client.messages.count_tokens(model=MODEL, messages=turns).input_tokens)


def count() -> None:
    counted = client.messages.count_tokens(model=MODEL, messages=user(HELLO)).input_tokens
    same(counted, client.messages.create(**defaults, messages=user(HELLO)).usage.input_tokens)


def errors() -> None:
    refused(401, lambda: client.with_options(auth_token="wrong").messages.create(**defaults, messages=user(HELLO)))
    refused(404, lambda: client.messages.create(model="gpt-9", max_tokens=1, messages=user(HELLO)))
    refused(400, lambda: client.messages.create(**defaults, messages=[]))


run_steps(message, stream, tools, thinking, structured, image, pdf, count, errors)
