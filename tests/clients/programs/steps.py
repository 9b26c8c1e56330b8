"""What every client's program does: take the steps that the client has, and tell of each in a line of JSON."""

import asyncio
import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

URL = sys.argv[1]
MODEL = "scripted"
KEY = "secret"
MAX_TOKENS = 3000

HELLO, HELLO_THERE = "Hello.", "Hello there."
ASK_WEATHER, WEATHER, IT_RAINS = "Weather in Ulm?", "rain, 12 degrees", "It rains in Ulm."
ASK_THOUGHT, THOUGHT = "Think of rain.", "It may rain."
ASK_ON, AND_SUN = "And then?", "Then the sun."
ASK_CITY, ASK_CITY_AS_JSON, CITY = "Name a city.", "Name a city, in JSON.", "Ulm"

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}


def take(*steps: Callable[[], object]) -> None:
    """Take the steps, functions named after what they show; a coroutine is run."""
    for step in steps:
        error = None
        try:
            done = step()
            if inspect.iscoroutine(done):
                asyncio.run(done)
        except Exception as failure:  # whatever went wrong is what we are here to tell
            error = f"{type(failure).__name__}: {failure}"
        print(json.dumps({"step": step.__name__, "error": error}), flush=True)  # noqa: T201


def same(found: object, wanted: object) -> None:
    """Assert, and say what there was."""
    assert found == wanted, f"{found!r}, not {wanted!r}"


def refused(status: int, attempt: Callable[[], object]) -> None:
    """The client raises, and its exception, or what it came from, knows the HTTP status."""
    try:
        attempt()
    except Exception as failure:  # each client has its own
        cause: BaseException | None = failure
        seen = []
        while cause is not None:
            seen.append(cause)
            if status in (getattr(cause, "status_code", None), getattr(cause, "code", None)):
                return
            cause = cause.__cause__ or cause.__context__
        raise AssertionError(f"no status {status} in {seen!r}") from failure
    raise AssertionError(f"nothing was raised, and not a {status}")
