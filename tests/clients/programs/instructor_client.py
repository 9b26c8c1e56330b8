"""The steps of Instructor: typed answers through a forced tool."""

from typing import Any

import anthropic
import instructor
from instructor.processing import multimodal
from pydantic import BaseModel
from steps import (
    A_DOT,
    ASK_CITY,
    ASK_PAGES,
    ASK_PICTURE,
    CITY,
    HELLO,
    HELLO_THERE,
    KEY,
    MAX_TOKENS,
    MODEL,
    PAGES_SAY,
    PDF,
    PNG,
    URL,
    refused,
    run_steps,
    same,
)

defaults = {"model": MODEL, "max_tokens": MAX_TOKENS, "max_retries": 1}


def client(key: str = KEY, mode: instructor.Mode = instructor.Mode.ANTHROPIC_TOOLS) -> Any:
    return instructor.from_anthropic(anthropic.Anthropic(base_url=URL, api_key=key, max_retries=0), mode=mode)


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


class City(BaseModel):
    """A city."""

    city: str


def message() -> None:
    same(client().messages.create(**defaults, messages=user(HELLO), response_model=None).content[0].text, HELLO_THERE)


def structured() -> None:
    same(client().messages.create(**defaults, messages=user(ASK_CITY), response_model=City).city, CITY)


def ask(part: Any, question: str) -> str:
    turns = [{"role": "user", "content": [question, part]}]
    return str(client().messages.create(**defaults, messages=turns, response_model=None).content[0].text)


def image() -> None:
    same(ask(instructor.Image.from_path(PNG), ASK_PICTURE), A_DOT)


def pdf() -> None:
    same(ask(multimodal.PDF.from_path(PDF), ASK_PAGES), PAGES_SAY)


def errors() -> None:
    def create(key: str = KEY, **fields: Any) -> object:
        return client(key).messages.create(**{**defaults, "messages": user(HELLO), "response_model": None, **fields})

    refused(401, lambda: create(key="wrong"))
    refused(404, lambda: create(model="gpt-9"))
    refused(400, lambda: create(temperature=7))


run_steps(message, structured, image, pdf, errors)
