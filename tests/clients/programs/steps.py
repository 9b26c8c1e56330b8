"""Runs the steps of a client and prints the outcome of each as a line of JSON."""

import asyncio
import inspect
import json
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

URL = sys.argv[1]
MODEL = "scripted"
KEY = "secret"
MAX_TOKENS = 3000

HELLO, HELLO_THERE = "Hello.", "Hello there."
ASK_WEATHER, WEATHER, IT_RAINS = "Weather in Ulm?", "rain, 12 degrees", "It rains in Ulm."
ASK_THOUGHT, THOUGHT = "Think of rain.", "It may rain."
ASK_ON, AND_SUN = "And then?", "Then the sun."
ASK_PICTURE, A_DOT = "What is on the picture?", "A red dot."
ASK_PAGES, PAGES_SAY = "What do the pages say?", "They say that it rains."
ASK_CITY, ASK_CITY_AS_JSON, CITY = "Name a city.", "Name a city, in JSON.", "Ulm"

PNG, PDF = (Path.home() / name for name in ("dot.png", "rain.pdf"))
"""Files of the user; the text of the PDF is what the model answers to."""

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}


def run_steps(*steps: Callable[[], object]) -> None:
    """Run the steps, which are functions or coroutine functions named after what they show."""
    for step in steps:
        error = None
        try:
            result = step()
            if inspect.iscoroutine(result):
                asyncio.run(result)
        except Exception as failure:  # any failure is the outcome of the step
            error = f"{type(failure).__name__}: {failure}"
        print(json.dumps({"step": step.__name__, "error": error}), flush=True)  # noqa: T201


def base64(file: Path) -> str:
    """The content of a file."""
    return b64encode(file.read_bytes()).decode()


def same(found: object, wanted: object) -> None:
    """Assert that both are equal."""
    assert found == wanted, f"{found!r}, not {wanted!r}"


def refused(status: int, attempt: Callable[[], object]) -> None:
    """Assert that the client raises, and that its exception, or a cause of it, has the HTTP status."""
    try:
        attempt()
    except Exception as failure:  # each client has its own exceptions
        cause: BaseException | None = failure
        seen = []
        while cause is not None:
            seen.append(cause)
            if status in (getattr(cause, "status_code", None), getattr(cause, "code", None)):
                return
            cause = cause.__cause__ or cause.__context__
        raise AssertionError(f"no status {status} in {seen!r}") from failure
    raise AssertionError(f"nothing was raised, and not a {status}")
