"""The list of these defects, and the decorators that add a function to it, with the checks that notice the defect."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from doctor.relay import Alteration, Exchange
from dragoman.doctor import CHAT_API, RESPONSES_API, Api

Object = dict[str, Any]
BOTH = (CHAT_API, RESPONSES_API)
DONE = "[DONE]"


@dataclass(frozen=True)
class OpenAIDefect:
    """One defect of one API; exactly the checks in `noticed_by` fail because of it."""

    name: str
    api: Api
    noticed_by: frozenset[str]
    on_request: Alteration | None = None
    on_response: Alteration | None = None


OPENAI_DEFECTS: list[OpenAIDefect] = []
Register = Callable[[Any], Any]


def _add(change: Callable[..., None], apis: Sequence[Api], noticed_by: Sequence[str], **alteration: Alteration) -> None:
    name = change.__name__.replace("_", " ")
    OPENAI_DEFECTS.extend(OpenAIDefect(f"{api.name}: {name}", api, frozenset(noticed_by), **alteration) for api in apis)


def on_request(*noticed_by: str, apis: Sequence[Api] = BOTH) -> Register:
    """A decorator for a defect in how the server reads requests."""

    def register(change: Alteration) -> Alteration:
        _add(change, apis, noticed_by, on_request=change)
        return change

    return register


def on_response(*noticed_by: str, apis: Sequence[Api] = BOTH) -> Register:
    """A decorator for a defect in the server's responses."""

    def register(change: Alteration) -> Alteration:
        _add(change, apis, noticed_by, on_response=change)
        return change

    return register


def whole(*noticed_by: str, apis: Sequence[Api] = BOTH) -> Register:
    """A decorator for a defect in whole answers, whose function changes their JSON."""

    def register(change: Callable[[Exchange, Object], None]) -> Callable[[Exchange, Object], None]:
        def alter(exchange: Exchange) -> None:
            answer = exchange.answer if is_generation(exchange) and exchange.status == 200 else None
            if answer is not None:
                change(exchange, answer)
                exchange.answer = answer

        _add(change, apis, noticed_by, on_response=alter)
        return change

    return register


def failed(*noticed_by: str, apis: Sequence[Api] = BOTH) -> Register:
    """A decorator for a defect in errors, whose function changes the error."""

    def register(change: Callable[[Exchange, Object], None]) -> Callable[[Exchange, Object], None]:
        def alter(exchange: Exchange) -> None:
            answer = exchange.answer if exchange.status >= 400 else None
            if answer is not None and "param" in answer["error"]:
                change(exchange, answer["error"])
                exchange.answer = answer

        _add(change, apis, noticed_by, on_response=alter)
        return change

    return register


def chunks(*noticed_by: str) -> Register:
    """A decorator for a defect in the chunks of a streamed chat completion, whose function returns others."""

    def register(change: Callable[[list[Object]], list[Object]]) -> Callable[[list[Object]], list[Object]]:
        def alter(exchange: Exchange) -> None:
            data = _data(exchange)
            if data and exchange.path == CHAT_API.path:
                found = [json.loads(line) for line in data if line != DONE]
                _stream(exchange, [*map(json.dumps, change(found)), DONE])

        _add(change, [CHAT_API], noticed_by, on_response=alter)
        return change

    return register


def lines(*noticed_by: str) -> Register:
    """A decorator for a defect in the data of any chat stream, whose function returns other lines."""

    def register(change: Callable[[Exchange, list[str]], list[str]]) -> Callable[[Exchange, list[str]], list[str]]:
        def alter(exchange: Exchange) -> None:
            if data := _data(exchange):
                _stream(exchange, change(exchange, data))

        _add(change, [CHAT_API], noticed_by, on_response=alter)
        return change

    return register


def events(*noticed_by: str) -> Register:
    """A decorator for a defect in the events of a streamed response, whose function changes the list."""

    def register(change: Callable[[list[list[Any]]], None]) -> Callable[[list[list[Any]]], None]:
        def alter(exchange: Exchange) -> None:
            if found := exchange.events:
                change(found)
                exchange.events = found

        _add(change, [RESPONSES_API], noticed_by, on_response=alter)
        return change

    return register


def refuses(
    when: Callable[[Exchange], Any], *noticed_by: str, name: str, apis: Sequence[Api] = BOTH, status: int = 400
) -> None:
    """Add a defect that is a refusal of certain requests."""

    def refuse(exchange: Exchange) -> None:
        if when(exchange):
            exchange.refuse(status)

    refuse.__name__ = name
    _add(refuse, apis, noticed_by, on_request=refuse)


def is_generation(exchange: Exchange) -> bool:
    return exchange.path in (CHAT_API.path, RESPONSES_API.path) and isinstance(exchange.body, dict)


def asks(exchange: Exchange, **fields: Any) -> bool:
    return is_generation(exchange) and all(exchange.body.get(name) == value for name, value in fields.items())


def _data(exchange: Exchange) -> list[str]:
    if not exchange.answer_headers.get("content-type", "").startswith("text/event-stream"):
        return []
    return [line.removeprefix("data: ") for line in exchange.content.decode().split("\n") if line.startswith("data: ")]


def _stream(exchange: Exchange, data: Sequence[str]) -> None:
    exchange.content = "".join(f"data: {line}\n\n" for line in data).encode()
