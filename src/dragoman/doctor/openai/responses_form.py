"""Responses: its requests and answers."""

import json
from collections.abc import Mapping
from typing import Any

from dragoman.doctor.api import RESPONSES_API
from dragoman.doctor.check_failed import CheckFailed
from dragoman.doctor.openai.form import Call, Form, Object, Reply, count, objects, text_of
from dragoman.doctor.stream import Stream

ENDS = ("response.completed", "response.incomplete", "response.failed")
"""The types of the last event of a stream."""


class ResponsesForm(Form):
    """Responses; the requests are not stored unless they say so."""

    api = RESPONSES_API
    turns_field = "input"
    limit_field = "max_output_tokens"

    def body(self, *turns: Any, limit: int = 24, **fields: Any) -> Object:
        """A request that is not stored."""
        return super().body(*turns, limit=limit, **{"store": False, **fields})

    def call(self, identifier: str, name: str, arguments: Mapping[str, Any]) -> list[Object]:
        """A call item."""
        return [{"type": "function_call", "call_id": identifier, "name": name, "arguments": json.dumps(arguments)}]

    def result(self, identifier: str, text: str) -> list[Object]:
        """An output item."""
        return [{"type": "function_call_output", "call_id": identifier, "output": text}]

    def image(self, text: str, url: str) -> list[Object]:
        """A message with two parts."""
        return [{"role": "user", "content": [{"type": "input_text", "text": text}, {"type": "input_image", "image_url": url}]}]

    def function(self, name: str, description: str, schema: Object, *, strict: bool | None = None) -> Object:
        """A tool that is the function itself."""
        tool = {"type": "function", "name": name, "description": description, "parameters": schema}
        return tool if strict is None else {**tool, "strict": strict}

    def named(self, name: str) -> Object:
        """The function's name."""
        return {"type": "function", "name": name}

    def json_schema(self, schema: Object) -> Object:
        """The field `text`."""
        return {"text": {"format": {"type": "json_schema", "name": "form", "schema": schema, "strict": True}}}

    def read(self, answer: Mapping[str, Any]) -> Reply:
        """All items of the output."""
        text, reasoning = "", ""
        calls = []
        for item in objects(answer.get("output"), "output"):
            parts = [text_of(part.get("text")) for part in objects(item.get("content") or [], "content")]
            match item.get("type"):
                case "message":
                    text += "".join(parts)
                case "reasoning":
                    summary = [text_of(part.get("text")) for part in objects(item.get("summary") or [], "summary")]
                    reasoning += "".join(parts or summary)
                case "function_call":
                    calls.append(Call(*(text_of(item.get(name)) for name in ("call_id", "name", "arguments"))))
        details = answer.get("incomplete_details")
        usage = answer.get("usage")
        return Reply(
            text=text,
            reasoning=reasoning,
            calls=calls,
            cut=isinstance(details, dict) and details.get("reason") == "max_output_tokens",
            model=answer.get("model"),
            prompt_tokens=count(usage, "input_tokens"),
            cached_tokens=count(usage, "input_tokens_details", "cached_tokens"),
            output_tokens=count(usage, "output_tokens"),
        )

    def fold(self, stream: Stream) -> Reply:
        """The response in the last event."""
        for event in stream.events:
            if event.type in ENDS:
                return self.read(event.inner("response"))
        raise CheckFailed("the stream has no last event with the response")


RESPONSES = ResponsesForm()
