"""Chat completions: its requests and answers."""

import json
from collections.abc import Mapping
from typing import Any

from dragoman.doctor.api import CHAT_API
from dragoman.doctor.check_failed import CheckFailed
from dragoman.doctor.openai.form import Call, Form, Object, Reply, count, objects, text_of
from dragoman.doctor.stream import Stream

REASONING = ("reasoning_content", "reasoning")
"""The fields in which servers send reasoning."""


class ChatForm(Form):
    """Chat completions."""

    api = CHAT_API
    turns_field = "messages"
    limit_field = "max_tokens"  # its newer name is a check of its own

    def call(self, identifier: str, name: str, arguments: Mapping[str, Any]) -> list[Object]:
        """A message with a call, and null content."""
        function = {"name": name, "arguments": json.dumps(arguments)}
        calls = [{"id": identifier, "type": "function", "function": function}]
        return [{"role": "assistant", "content": None, "tool_calls": calls}]

    def result(self, identifier: str, text: str) -> list[Object]:
        """A tool message."""
        return [{"role": "tool", "tool_call_id": identifier, "content": text}]

    def image(self, text: str, url: str) -> list[Object]:
        """A message with two parts."""
        return [{"role": "user", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]}]

    def function(self, name: str, description: str, schema: Object, *, strict: bool | None = None) -> Object:
        """A tool, with its function in it."""
        function = {"name": name, "description": description, "parameters": schema}
        return {"type": "function", "function": function if strict is None else {**function, "strict": strict}}

    def named(self, name: str) -> Object:
        """The function's name, in a function."""
        return {"type": "function", "function": {"name": name}}

    def json_schema(self, schema: Object) -> Object:
        """The field `response_format`."""
        return {"response_format": {"type": "json_schema", "json_schema": {"name": "form", "schema": schema, "strict": True}}}

    def read(self, answer: Mapping[str, Any]) -> Reply:
        """The first choice."""
        choices = objects(answer.get("choices"), "choices")
        message = choices[0].get("message") if choices else None
        if not isinstance(message, dict):
            raise CheckFailed(f"there is no message in choices: {choices!r:.80}")
        calls = [_call(entry) for entry in objects(message.get("tool_calls") or [], "tool_calls")]
        return _reply(answer, message, calls, choices[0].get("finish_reason"), answer.get("usage"))

    def fold(self, stream: Stream) -> Reply:
        """The first choice, with the usage wherever it is."""
        message: dict[str, str] = {}
        calls: dict[object, Object] = {}
        finish = usage = None
        chunks = [event.data for event in stream.events if event.data is not None]
        for chunk in chunks:
            usage = chunk.get("usage") or usage
            for choice in objects(chunk.get("choices") or [], "choices"):
                if choice.get("index", 0) == 0:
                    finish = choice.get("finish_reason") or finish
                    delta = choice.get("delta") or {}
                    for name in ("content", *REASONING):
                        message[name] = message.get(name, "") + text_of(delta.get(name))
                    for piece in objects(delta.get("tool_calls") or [], "tool_calls"):
                        _extend(calls.setdefault(piece.get("index"), {"function": {}}), piece)
        return _reply(chunks[0] if chunks else {}, message, [_call(entry) for entry in calls.values()], finish, usage)


def _extend(call: Object, piece: Object) -> None:
    call["id"] = call.get("id") or piece.get("id")
    function = piece.get("function")
    if isinstance(function, dict):
        for name in ("name", "arguments"):
            call["function"][name] = call["function"].get(name, "") + text_of(function.get(name))


def _call(entry: Object) -> Call:
    function = entry.get("function")
    fields = function if isinstance(function, dict) else {}
    return Call(text_of(entry.get("id")), text_of(fields.get("name")), text_of(fields.get("arguments")))


def _reply(answer: Mapping[str, Any], message: Mapping[str, Any], calls: list[Call], finish: object, usage: object) -> Reply:
    return Reply(
        text=text_of(message.get("content")),
        reasoning="".join(text_of(message.get(name)) for name in REASONING[: 1 if message.get(REASONING[0]) else 2]),
        calls=calls,
        cut=finish == "length",
        model=answer.get("model"),
        prompt_tokens=count(usage, "prompt_tokens"),
        cached_tokens=count(usage, "prompt_tokens_details", "cached_tokens"),
        output_tokens=count(usage, "completion_tokens"),
    )


CHAT = ChatForm()
