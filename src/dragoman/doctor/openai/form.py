"""The interface of an OpenAI format for the checks: how a conversation is sent, and how an answer is read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dragoman.doctor.api import Api
from dragoman.doctor.check_failed import CheckFailed
from dragoman.doctor.client import Client
from dragoman.doctor.stream import Stream

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the checks of both formats read of an answer. Missing counts are 0; `cut`: it ended at its limit of tokens."""

    text: str
    reasoning: str
    calls: Sequence[Call]
    cut: bool
    model: object
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int

    @property
    def shape(self) -> str:
        """What it consists of, in words."""
        calls = [f"a call of {call.name}" for call in self.calls]
        found = ["reasoning"] * bool(self.reasoning) + ["text"] * bool(self.text) + calls + ["its limit"] * self.cut
        return ", ".join(found) or "nothing"


class Form(ABC):
    """One of the two formats. The methods that make turns return the messages or the items of that turn."""

    api: Api
    turns_field: str
    limit_field: str

    def body(self, *turns: Sequence[Object], limit: int = 24, **fields: Any) -> Object:
        """A small greedy request with an answer of at most `limit` tokens; a field with None is left out."""
        entries = [entry for turn in turns or (self.user("Say hello."),) for entry in turn]
        request = {self.turns_field: entries, self.limit_field: limit, "temperature": 0, **fields}
        return {name: value for name, value in request.items() if value is not None}

    def user(self, text: str) -> list[Object]:
        """A turn of the user."""
        return [{"role": "user", "content": text}]

    def assistant(self, text: str) -> list[Object]:
        """A turn of the model."""
        return [{"role": "assistant", "content": text}]

    @abstractmethod
    def call(self, identifier: str, name: str, arguments: Mapping[str, Any]) -> list[Object]:
        """A turn of the model that is a call."""

    @abstractmethod
    def result(self, identifier: str, text: str) -> list[Object]:
        """The result of a call."""

    @abstractmethod
    def image(self, text: str, url: str) -> list[Object]:
        """A turn of the user with a text and an image."""

    @abstractmethod
    def function(self, name: str, description: str, schema: Object, *, strict: bool | None = None) -> Object:
        """A tool."""

    @abstractmethod
    def named(self, name: str) -> Object:
        """The tool choice that forces a call of this function."""

    @abstractmethod
    def json_schema(self, schema: Object) -> Object:
        """The fields that request an answer that is JSON of a schema."""

    @abstractmethod
    def read(self, answer: Mapping[str, Any]) -> Reply:
        """The parts of a whole answer. Raises `CheckFailed` if it cannot be read."""

    @abstractmethod
    def fold(self, stream: Stream) -> Reply:
        """The parts that a lenient client would read from a stream. Raises `CheckFailed` if it cannot be read."""

    async def reply(self, client: Client, body: Mapping[str, Any]) -> Reply:
        """The answer to a request; raises `CheckFailed` if it is refused."""
        return self.read((await client.post(body)).expect(200).object)


def count(usage: object, *path: str) -> int:
    """A number in a usage; 0 if it is missing."""
    for name in path:
        usage = usage.get(name) if isinstance(usage, dict) else None
    return usage if isinstance(usage, int) else 0


def objects(value: object, what: str) -> list[Object]:
    """A list of objects; raises `CheckFailed` if it is something else."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise CheckFailed(f"{what} is not a list of objects: {value!r:.80}")
    return value


def text_of(value: object) -> str:
    """A text; empty if it is missing or something else."""
    return value if isinstance(value, str) else ""
