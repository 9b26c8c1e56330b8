"""The list of defects and the decorators that add a function to it, with the checks that notice the defect."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from doctor.relay import Alteration, Exchange


@dataclass(frozen=True)
class Defect:
    """One defect; exactly the checks in `noticed_by` fail because of it."""

    name: str
    noticed_by: frozenset[str]
    on_request: Alteration | None
    on_response: Alteration | None


DEFECTS: list[Defect] = []


def _name(function: Alteration) -> str:
    return function.__name__.replace("_", " ")


def on_request(*noticed_by: str) -> Callable[[Alteration], Alteration]:
    """A decorator for a defect in how the server reads requests."""

    def register(function: Alteration) -> Alteration:
        DEFECTS.append(Defect(_name(function), frozenset(noticed_by), function, None))
        return function

    return register


def on_response(*noticed_by: str) -> Callable[[Alteration], Alteration]:
    """A decorator for a defect in the server's answers."""

    def register(function: Alteration) -> Alteration:
        DEFECTS.append(Defect(_name(function), frozenset(noticed_by), None, function))
        return function

    return register


def refuses(when: Callable[[Exchange], Any], *noticed_by: str, name: str, status: int = 400) -> None:
    """Add a defect that is a refusal of certain requests."""

    def refuse(exchange: Exchange) -> None:
        if when(exchange):
            exchange.refuse(status)

    DEFECTS.append(Defect(name, frozenset(noticed_by), refuse, None))


def whole(change: Callable[[Exchange, dict[str, Any]], None]) -> Alteration:
    """Make a change of unstreamed messages an alteration of exchanges."""

    def alter(exchange: Exchange) -> None:
        answer = exchange.answer if exchange.is_message and exchange.status == 200 else None
        if answer is not None:
            change(exchange, answer)
            exchange.answer = answer

    alter.__name__ = change.__name__
    return alter


def streamed(change: Callable[[Exchange, list[list[Any]]], None]) -> Alteration:
    """Make a change of a stream's events an alteration of exchanges."""

    def alter(exchange: Exchange) -> None:
        events = exchange.events
        if events:
            change(exchange, events)
            exchange.events = events

    alter.__name__ = change.__name__
    return alter


def matches(exchange: Exchange, **fields: Any) -> bool:
    return exchange.is_message and all(exchange.body.get(name) == value for name, value in fields.items())
