"""How a defect is written down: a function that changes an exchange, and the checks that notice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from doctor.relay import Exchange, Spoiling


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong; `notices` are the checks that fail of it, and no others do."""

    name: str
    notices: frozenset[str]
    before: Spoiling | None
    after: Spoiling | None


DEFECTS: list[Defect] = []


def _name(function: Spoiling) -> str:
    return function.__name__.replace("_", " ")


def before(*notices: str) -> Callable[[Spoiling], Spoiling]:
    """A defect in what the server takes."""

    def register(function: Spoiling) -> Spoiling:
        DEFECTS.append(Defect(_name(function), frozenset(notices), function, None))
        return function

    return register


def after(*notices: str) -> Callable[[Spoiling], Spoiling]:
    """A defect in what it gives."""

    def register(function: Spoiling) -> Spoiling:
        DEFECTS.append(Defect(_name(function), frozenset(notices), None, function))
        return function

    return register


def refuses(when: Callable[[Exchange], Any], *notices: str, name: str, status: int = 400) -> None:
    """A defect that is no more than a refusal."""

    def refuse(exchange: Exchange) -> None:
        if when(exchange):
            exchange.refuse(status)

    DEFECTS.append(Defect(name, frozenset(notices), refuse, None))


def whole(change: Callable[[Exchange, dict[str, Any]], None]) -> Spoiling:
    """Change whole messages that were answered well."""

    def spoil(exchange: Exchange) -> None:
        answer = exchange.answer if exchange.is_message and exchange.status == 200 else None
        if answer is not None:
            change(exchange, answer)
            exchange.answer = answer

    spoil.__name__ = change.__name__
    return spoil


def streamed(change: Callable[[Exchange, list[list[Any]]], None]) -> Spoiling:
    """Change streams."""

    def spoil(exchange: Exchange) -> None:
        events = exchange.events
        if events:
            change(exchange, events)
            exchange.events = events

    spoil.__name__ = change.__name__
    return spoil


def matches(exchange: Exchange, **fields: Any) -> bool:
    return exchange.is_message and all(exchange.body.get(name) == value for name, value in fields.items())
