"""`dragoman parse`: shows what a client would receive for raw model output, using the server's own code."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Literal

import click
import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from dragoman import dialects
from dragoman.api.anthropic.encoder import MessageEncoder
from dragoman.api.anthropic.events import Event
from dragoman.api.anthropic.fold import fold
from dragoman.api.anthropic.message import BlockOut
from dragoman.cli.usage_error import UsageError
from dragoman.conversation import AnswerPolicy, ThinkingPolicy, Tool, ToolChoice, ToolPolicy
from dragoman.conversation.types import JsonObject
from dragoman.dialects import Dialect
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.generation import Generation
from dragoman.parts import CallDelta, CallEnd, CallStart, Part
from dragoman.prompt import Prompt

_NO_LIMIT = 1 << 40


class InputTool(Struct, frozen=True):
    """A tool in the form of the API."""

    name: str
    input_schema: dict[str, Any] = {}
    description: str = ""


class InputChoice(Struct, frozen=True):
    """A `tool_choice` in the form of the API."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class Input(Struct, frozen=True):
    """A line of input: the model's output and the request that it answers. `chunk` is in characters, 0 for all at once.

    Without `tools`, every called tool counts as declared.
    """

    raw: str
    dialect: str = dialects.DEFAULT.name
    tools: tuple[InputTool, ...] = ()
    tool_choice: InputChoice | Literal["auto", "any", "none"] | None = None
    parallel: bool = True
    finish: Literal["stop", "length"] = "stop"
    think_pre_opened: bool | None = None
    thinking_enabled: bool | None = None
    chunk: int = 0


class Output(Struct, frozen=True):
    """A line of output. `partial_json` has the streamed arguments of an incomplete call."""

    content: Sequence[BlockOut]
    stop_reason: str | None
    repairs: Sequence[str]
    partial_json: str | UnsetType = UNSET


@click.command(short_help="Show what a client receives for a model's raw output.")
def parse() -> None:
    """Read raw model output as JSON lines, and write what a client receives as JSON lines.

    In: {"dialect", "raw", "tools", "tool_choice", "parallel", "finish", "think_pre_opened", "thinking_enabled", "chunk"}.
    Out: {"content", "stop_reason", "repairs", "partial_json"}; the last only if a call was cut.
    """
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            continue
        try:
            given = msgspec.json.decode(line, type=Input)
            output = asyncio.run(read(given))
        except (msgspec.DecodeError, dialects.UnknownDialect) as error:
            raise UsageError(f"line {number}: {error}") from error
        click.echo(msgspec.json.encode(output))


async def read(given: Input) -> Output:
    """Pass the output through a generation, the encoder and the fold. Raises `UnknownDialect`."""
    dialect = dialects.get(given.dialect)
    if not given.tools:
        given = replace(given, tools=_called_tools(dialect, given))
    engine = ScriptedEngine([Line(given.raw, chunk=given.chunk, finish_reason=given.finish)])
    prompt = Prompt(tokens=(), text="", remaining=_NO_LIMIT, thinking_open=bool(given.think_pre_opened))
    generation = Generation(engine, dialects.Constrainer(dialect), _policy(given), prompt)
    encoder = MessageEncoder("msg_parse", given.dialect)
    events: list[Event] = [*encoder.start(generation.counts)]
    parts: list[Part] = []
    async for part in generation.run():
        parts.append(part)
        events.extend(encoder.encode(part))
    message = fold(events)
    return Output(message.content, message.stop_reason, generation.repairs, _incomplete_arguments(parts))


def _called_tools(dialect: Dialect, given: Input) -> tuple[InputTool, ...]:
    """The tools that are called between tags, without a schema, so that an output can be parsed without its request.

    Empty for dialects in which only a declared name distinguishes a call from a message or from an answer in JSON.
    """
    if dialect.frame or any(calls.bare for calls in (dialect.calls, *dialect.also) if calls):
        return ()
    parser = dialect.parser(_AnyTool(), thinking_open=bool(given.think_pre_opened), recover=False)
    parts = [*parser.feed(given.raw), *parser.finish(cut=given.finish == "length")]
    return tuple(InputTool(name) for name in {part.name: None for part in parts if isinstance(part, CallStart)})


class _AnyTool(dict[str, JsonObject]):
    """A mapping that holds every non-empty name, with an empty schema."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name != ""

    def __missing__(self, name: str) -> JsonObject:
        return {}

    def __len__(self) -> int:
        return 1


def _policy(given: Input) -> AnswerPolicy:
    choice = InputChoice(given.tool_choice) if isinstance(given.tool_choice, str) else given.tool_choice or InputChoice("auto")
    return AnswerPolicy(
        tools=tuple(Tool(tool.name, tool.description, tool.input_schema) for tool in given.tools),
        tool_policy=ToolPolicy(  # the output exists already, so that no call can be forced
            ToolChoice.NONE if choice.type == "none" else ToolChoice.AUTO,
            parallel=given.parallel and not choice.disable_parallel_tool_use,
        ),
        thinking=ThinkingPolicy(enabled=bool(given.thinking_enabled)),
        max_tokens=_NO_LIMIT,
    )


def _incomplete_arguments(parts: Sequence[Part]) -> str | UnsetType:
    """The arguments of the last incomplete call, as far as the model wrote them."""
    incomplete: str | UnsetType = UNSET
    written = ""
    for part in parts:
        match part:
            case CallStart():
                written = ""
            case CallDelta(json):
                written += json
            case CallEnd(complete=False, added=added):
                incomplete = written[: len(written) - added]
            case _:
                pass
    return incomplete
