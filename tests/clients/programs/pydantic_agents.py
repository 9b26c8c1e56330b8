"""The steps of pydantic-ai."""

from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, UsageLimitExceeded, UsageLimits
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider
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
    refused,
    run_steps,
    same,
)


def agent(model: str = MODEL, key: str = KEY, **options: Any) -> Agent[None, Any]:
    return Agent(AnthropicModel(model, provider=AnthropicProvider(base_url=URL, api_key=key)), **options)


def message() -> None:
    same(agent().run_sync(HELLO).output, HELLO_THERE)


async def stream() -> None:
    async with agent().run_stream(HELLO) as answer:
        same([text async for text in answer.stream_text()][-1], HELLO_THERE)


def get_weather(place: str) -> str:
    """Weather of a place."""
    same(place, "Ulm")
    return WEATHER


def tools() -> None:
    same(agent(tools=[get_weather]).run_sync(ASK_WEATHER).output, IT_RAINS)


def thinking() -> None:
    settings = {"anthropic_thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": MAX_TOKENS}
    thoughtful = agent(model_settings=settings)
    answer = thoughtful.run_sync(ASK_THOUGHT)
    [thought] = [part for part in answer.all_messages()[-1].parts if isinstance(part, ThinkingPart)]
    same(thought.content, THOUGHT)
    same(thoughtful.run_sync(ASK_ON, message_history=answer.all_messages()).output, AND_SUN)


class City(BaseModel):
    """A city."""

    city: str


def structured() -> None:
    same(agent(output_type=City).run_sync(ASK_CITY).output, City(city=CITY))


def image() -> None:
    same(agent().run_sync([ASK_PICTURE, BinaryContent(PNG.read_bytes(), media_type="image/png")]).output, A_DOT)


def pdf() -> None:
    same(agent().run_sync([ASK_PAGES, BinaryContent(PDF.read_bytes(), media_type="application/pdf")]).output, PAGES_SAY)


def count() -> None:
    limits = UsageLimits(count_tokens_before_request=True, input_tokens_limit=1)
    try:
        agent().run_sync(HELLO, usage_limits=limits)
    except UsageLimitExceeded:
        return
    raise AssertionError("no count was requested")


def errors() -> None:
    refused(401, lambda: agent(key="wrong").run_sync(HELLO))
    refused(404, lambda: agent(model="gpt-9").run_sync(HELLO))
    refused(400, lambda: agent(model_settings={"temperature": 7}).run_sync(HELLO))


run_steps(message, stream, tools, thinking, structured, image, pdf, count, errors)
