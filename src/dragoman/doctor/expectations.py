"""What checks of several APIs expect of answers; each function raises `CheckFailed` if an answer is otherwise."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs

from dragoman.doctor.check_failed import CheckFailed, quoted
from dragoman.doctor.client import Answer, Client


def expect_schema(text: str, schema: Mapping[str, Any], what: str = "") -> None:
    """Expect a text to be a JSON value that the schema allows. `what` begins the sentence about one that is not JSON."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CheckFailed(f"{what}not JSON: {quoted(text) or 'no text'}") from error
    for wrong in jsonschema_rs.iter_errors(dict(schema), value):
        raise CheckFailed(f"{quoted(text)}: {quoted(wrong.message)}")


def expect_distinct(answers: Sequence[Answer], header: str) -> None:
    """Expect each answer to have a header with a value of its own."""
    values = [answer.headers.get(header) for answer in answers]
    for answer, value in zip(answers, values, strict=True):
        if not value:
            raise CheckFailed(f"no {header} header on an answer with status {answer.status}")
    if len(set(values)) < len(values):
        raise CheckFailed(f"the same {header} twice: {values[0]}")


def expect_json_type(answer: Answer) -> None:
    """Expect a content type of JSON."""
    kind = answer.headers.get("content-type", "")
    if not kind.partition(";")[0].strip().endswith("json"):
        raise CheckFailed(f"content-type: {kind}")


async def expect_several_at_once(client: Client, request: Mapping[str, Any]) -> None:
    """Expect four requests at once to be answered."""
    for answer in await asyncio.gather(*(client.post(dict(request)) for _ in range(4))):
        answer.expect(200)
