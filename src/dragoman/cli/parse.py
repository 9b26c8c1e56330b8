"""`dragoman parse`: what a client would receive for what a model wrote. A looking glass over the real rooms."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Literal

import click
import msgspec
from msgspec import UNSET, Struct, UnsetType

from dragoman import dialects
from dragoman.cli.refusal import Refusal
from dragoman.conversation import Conversation, Role, Text, ThinkingPolicy, Tool, ToolChoice, ToolPolicy, Turn
from dragoman.engines.scripted import Line, ScriptedEngine
from dragoman.generation import Turn as Generation
from dragoman.prompt import Prompt
from dragoman.wire.encoder import MessageEncoder
from dragoman.wire.events import ContentBlockDelta, Event, InputJsonDelta
from dragoman.wire.fold import fold
from dragoman.wire.message import BlockOut

_NO_LIMIT = 1 << 40


class GivenTool(Struct, frozen=True):
    """A tool as the API declares it."""

    name: str
    input_schema: dict[str, Any] = {}
    description: str = ""


class GivenChoice(Struct, frozen=True):
    """`tool_choice` as the API has it."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class Given(Struct, frozen=True):
    """One line in: what the model wrote, and the request that it answers. `chunk` is in characters, 0 for all at once."""

    raw: str
    dialect: str = dialects.DEFAULT.name
    tools: tuple[GivenTool, ...] = ()
    tool_choice: GivenChoice | Literal["auto", "any", "none"] | None = None
    parallel: bool = True
    finish: Literal["stop", "length"] = "stop"
    think_pre_opened: bool | None = None
    thinking_enabled: bool | None = None
    chunk: int = 0


class Received(Struct, frozen=True):
    """One line out. `partial_json` is what was streamed of the arguments of a call that is not whole."""

    content: Sequence[BlockOut]
    stop_reason: str | None
    repairs: Sequence[str]
    partial_json: str | UnsetType = UNSET


@click.command(short_help="Show what a client would receive for a model's raw output.")
def parse() -> None:
    """Read JSON lines, write JSON lines.

    In: {"dialect", "raw", "tools", "tool_choice", "parallel", "finish", "think_pre_opened", "thinking_enabled", "chunk"}.
    Out: {"content", "stop_reason", "repairs", "partial_json"}; the last only where a call was cut.
    """
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            continue
        try:
            given = msgspec.json.decode(line, type=Given)
            received = asyncio.run(read(given))
        except (msgspec.DecodeError, dialects.UnknownDialect) as error:
            raise Refusal(f"line {number}: {error}") from error
        click.echo(msgspec.json.encode(received))


async def read(given: Given) -> Received:
    """Send what the model wrote through a turn, the encoder and the fold. Raises `UnknownDialect`."""
    engine = ScriptedEngine([Line(given.raw, chunk=given.chunk, finish_reason=given.finish)])
    prompt = Prompt(tokens=(), text="", room=_NO_LIMIT, thinking_open=bool(given.think_pre_opened))
    turn = Generation(engine, dialects.Constrainer(dialects.get(given.dialect)), _conversation(given), prompt)
    encoder = MessageEncoder("msg_parse", given.dialect)
    events: list[Event] = [encoder.start(turn.tally)]
    async for part in turn.run():
        events.extend(encoder.encode(part))
    message = fold(events)
    return Received(message.content, message.stop_reason, turn.repairs, _cut_arguments(events, turn))


def _conversation(given: Given) -> Conversation:
    choice = GivenChoice(given.tool_choice) if isinstance(given.tool_choice, str) else given.tool_choice or GivenChoice("auto")
    return Conversation(
        turns=[Turn(Role.USER, (Text("?"),))],
        tools=tuple(Tool(tool.name, tool.description, tool.input_schema) for tool in given.tools),
        tool_policy=ToolPolicy(  # what was to be forced cannot be any more: the output is there
            ToolChoice.NONE if choice.type == "none" else ToolChoice.AUTO,
            parallel=given.parallel and not choice.disable_parallel_tool_use,
        ),
        thinking=ThinkingPolicy(enabled=bool(given.thinking_enabled)),
        max_tokens=_NO_LIMIT,
    )


def _cut_arguments(events: Sequence[Event], turn: Generation) -> str | UnsetType:
    """The arguments of the last call, as they were streamed, where that call was cut."""
    if not turn.broke_call:
        return UNSET
    deltas = [event for event in events if isinstance(event, ContentBlockDelta) and isinstance(event.delta, InputJsonDelta)]
    last = deltas[-1].index
    return "".join(
        event.delta.partial_json for event in deltas if event.index == last and isinstance(event.delta, InputJsonDelta)
    )
