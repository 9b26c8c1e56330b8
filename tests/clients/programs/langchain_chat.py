"""The steps of LangChain's chat model."""

from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel
from steps import (
    A_DOT,
    AND_SUN,
    ASK_CITY,
    ASK_CITY_AS_JSON,
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


def chat(model: str = MODEL, key: str = KEY, **options: Any) -> ChatAnthropic:
    return ChatAnthropic(model=model, base_url=URL, api_key=key, max_tokens=MAX_TOKENS, max_retries=0, **options)


def message() -> None:
    answer = chat().invoke(HELLO)
    same(answer.text, HELLO_THERE)
    assert answer.usage_metadata["input_tokens"] > 0


def stream() -> None:
    same("".join(chunk.text for chunk in chat().stream(HELLO)), HELLO_THERE)


@tool
def get_weather(place: str) -> str:
    """Weather of a place."""
    same(place, "Ulm")
    return WEATHER


def tools() -> None:
    able = chat().bind_tools([get_weather])
    turns: list[Any] = [HumanMessage(ASK_WEATHER)]
    turns.append(able.invoke(turns))
    [call] = turns[-1].tool_calls
    turns.append(ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]))
    same(able.invoke(turns).text, IT_RAINS)


def thinking() -> None:
    thoughtful = chat(thinking={"type": "enabled", "budget_tokens": 1024})
    answer = thoughtful.invoke(ASK_THOUGHT)
    same(answer.content[0]["thinking"], THOUGHT)
    same(thoughtful.invoke([HumanMessage(ASK_THOUGHT), answer, HumanMessage(ASK_ON)]).text, AND_SUN)


class City(BaseModel):
    """A city."""

    city: str


def structured() -> None:
    same(chat().with_structured_output(City).invoke(ASK_CITY), City(city=CITY))
    same(chat().with_structured_output(City, method="json_schema").invoke(ASK_CITY_AS_JSON), City(city=CITY))


def ask(block: dict[str, str], question: str) -> str:
    return str(chat().invoke([HumanMessage([block, {"type": "text", "text": question}])]).text)


def image() -> None:
    same(ask({"type": "image", "base64": base64(PNG), "mime_type": "image/png"}, ASK_PICTURE), A_DOT)


def pdf() -> None:
    same(ask({"type": "file", "base64": base64(PDF), "mime_type": "application/pdf"}, ASK_PAGES), PAGES_SAY)


def count() -> None:
    same(chat().get_num_tokens_from_messages([HumanMessage(HELLO)]), chat().invoke(HELLO).usage_metadata["input_tokens"])


def errors() -> None:
    refused(401, lambda: chat(key="wrong").invoke(HELLO))
    refused(404, lambda: chat(model="gpt-9").invoke(HELLO))
    refused(400, lambda: chat(temperature=7).invoke(HELLO))


run_steps(message, stream, tools, thinking, structured, image, pdf, count, errors)
