"""A live server with a relay in front of it, on which checks are run."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

from dragoman.doctor import MESSAGES_API, Api, Check, Client, Outcome, run_checks

from .relay import Alteration, Relay


class AnyDefect(Protocol):
    """A defect: how it changes requests or responses."""

    @property
    def on_request(self) -> Alteration | None: ...

    @property
    def on_response(self) -> Alteration | None: ...


class RelayedServer:
    """A live server with a relay in front of it that can add a defect."""

    def __init__(self, url: str, relay: Relay) -> None:
        self.url, self._relay = url, relay

    def run_checks(
        self, checks: Iterable[Check], defect: AnyDefect | None = None, api: Api = MESSAGES_API
    ) -> Mapping[str, tuple[Outcome, str]]:
        """The outcomes and reasons by check id."""
        self._relay.reset()
        if defect is not None:
            self._relay.on_request = defect.on_request or self._relay.on_request
            self._relay.on_response = defect.on_response or self._relay.on_response
        return asyncio.run(self._run(checks, api))

    async def _run(self, checks: Iterable[Check], api: Api) -> Mapping[str, tuple[Outcome, str]]:
        async with Client.connect(self.url, api=api) as client:
            return {result.check.id: (result.outcome, result.reason) async for result in run_checks(client, checks)}


def reasons(results: Mapping[str, tuple[Outcome, str]], outcome: Outcome) -> dict[str, str]:
    """The reasons of the checks with that outcome."""
    return {name: reason for name, (found, reason) in results.items() if found is outcome}
