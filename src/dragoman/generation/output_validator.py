"""Validates constrained output when it is complete: a constraint may have been relaxed, or an engine may not enforce it.

Streamed output is not taken back. Violations are logged; a missing forced call is a failure, since a client that forces a call
cannot use anything else.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from dragoman.conversation import AnswerPolicy
from dragoman.errors import EngineFailed
from dragoman.json_schema.validation import validator
from dragoman.parts import CallDelta, CallEnd, CallStart, Part, Text


class OutputValidator:
    """Validates the parts of one answer. `violations`: the violated constraints; `active`: there is something to validate."""

    def __init__(self, policy: AnswerPolicy) -> None:
        self._forced = policy.tool_policy.forced
        self._schemas = {tool.name: tool.schema for tool in policy.tools if tool.strict or self._forced}
        self._output = policy.output
        self.active = self._forced or bool(self._schemas) or self._output is not None
        self._texts: list[str] = []
        self._arguments: list[str] = []
        self._name = ""
        self._called = False
        self.violations: list[str] = []

    def feed(self, part: Part) -> None:
        """Add the next part."""
        match part:
            case Text(text) if self._output is not None:
                self._texts.append(text)
            case CallStart(name):
                self._name = name
                self._arguments.clear()
            case CallDelta(json) if self._name in self._schemas:
                self._arguments.append(json)
            case CallEnd(complete):
                self._called = True
                if complete and self._name in self._schemas:
                    self._check(f"call of {self._name}", self._schemas[self._name], self._arguments)

    def settle(self) -> None:
        """Validate the end of the answer. Raises `EngineFailed` if a call was forced and there is none."""
        if self._forced and not self._called:
            raise EngineFailed("a tool call was asked for, and the engine let the model end its turn without one")
        if self._output is not None and not self._called:
            self._check("output format", self._output, self._texts)

    def _check(self, what: str, schema: Mapping[str, Any], texts: list[str]) -> None:
        checks = validator(schema)
        if checks is None:
            self.violations.append(f"{what}: its schema is not one that can be checked")
            return
        try:
            error = next(iter(checks.iter_errors(msgspec.json.decode("".join(texts)))), None)
        except (ValueError, msgspec.DecodeError) as fault:
            self.violations.append(f"{what}: {fault}")
            return
        if error is not None:
            self.violations.append(f"{what}: {error.message}")
