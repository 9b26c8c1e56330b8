"""`dragoman render`: shows the prompt of a request, using the server's own code."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from dragoman import dialects
from dragoman.api.anthropic import rules
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import CountTokensRequest, MessagesRequest
from dragoman.api.base import parse
from dragoman.cli.usage_error import UsageError
from dragoman.conversation import Conversation
from dragoman.dialects import Dialect
from dragoman.errors import DragomanError
from dragoman.inspection.detection import detect
from dragoman.inspection.profile import inspect
from dragoman.media.outcomes import Sight
from dragoman.media.reader import MediaReader
from dragoman.models.resolve import UnusableModel, resolve
from dragoman.prompt import ChatTemplate, TemplateRefusal
from dragoman.prompt.render import Renderer
from dragoman.server import ModelEntry, ServedModel, Settings


class RenderedRequest(Struct, frozen=True):
    """The prompt of a request. `tokens` is None without a model; `losses` are what the template does not render."""

    prompt: str
    tokens: int | None
    dialect: str
    thinking_open: bool
    notes: Sequence[str]
    losses: Sequence[str]


@click.command(short_help="Show the prompt that a request becomes.")
@click.option(
    "--model", metavar="MODEL", help="Model, named as for `serve`; by default the small default model, if it is installed."
)
@click.option(
    "--template",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Chat template to use instead of a model.",
)
@click.option("--dialect", "name", metavar="NAME", help="How the model writes reasoning and tool calls; otherwise detected.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def render(model: str | None, template: Path | None, name: str | None, as_json: bool) -> None:
    """Read a request to /v1/messages or /v1/messages/count_tokens from standard input, and print its prompt.

    Standard error has the length in tokens, the dialect, and what was removed, moved or encoded, with reasons.
    """
    if model and template:
        raise UsageError("--model and --template exclude each other: a model brings its own template.")
    try:
        dialect = dialects.get(name) if name else None
        conversation = read(sys.stdin.buffer.read())
        if template:
            conversation = asyncio.run(_without_attachments(conversation, MediaReader(Sight())))
            rendered = with_template(template, conversation, dialect)
        else:
            rendered = asyncio.run(_with_model(model, conversation, dialect))
    except (dialects.UnknownDialect, UnusableModel, TemplateRefusal, UnicodeDecodeError, DragomanError) as error:
        raise UsageError(str(error)) from error
    if as_json:
        click.echo(msgspec.json.encode(rendered))
        return
    click.echo(rendered.prompt, nl=False)
    count = "unknown: a template has no tokenizer" if rendered.tokens is None else rendered.tokens
    inside = ", inside reasoning" if rendered.thinking_open else ""
    for line in (f"tokens: {count}", f"dialect: {rendered.dialect}{inside}", *rendered.notes):
        click.echo(line, err=True)


def read(body: bytes) -> Conversation:
    """Parse, check and lower a request as the server does. Raises `InvalidRequest`."""
    try:
        generates = "max_tokens" in json.loads(body)
    except (ValueError, TypeError):
        generates = False  # `parse` reports what is wrong
    request = parse(MessagesRequest if generates else CountTokensRequest, body)
    rules.check(request, frozenset())
    return lower(request)


async def _without_attachments(conversation: Conversation, media: MediaReader) -> Conversation:
    """The conversation as the model gets it. Raises `InvalidRequest`, `Overloaded`."""
    try:
        return replace(conversation, dialogue=await media.read(conversation.dialogue))
    finally:
        await media.close()


def with_template(template: Path, conversation: Conversation, dialect: Dialect | None) -> RenderedRequest:
    """The prompt from a chat template, without a model. Raises `TemplateRefusal`."""
    program = ChatTemplate(template.read_text(encoding="utf-8"))
    with program.inspected():
        dialect = dialect or detect(program).dialect
    renderer = Renderer(inspect(program, dialect))
    rendered = renderer.render(conversation)
    return RenderedRequest(
        prompt=rendered.text,
        tokens=None,
        dialect=renderer.dialect.name,
        thinking_open=renderer.dialect.thinking_open(rendered.text),
        notes=rendered.notes,
        losses=renderer.profile.capabilities.losses,
    )


async def _with_model(model: str | None, conversation: Conversation, dialect: Dialect | None) -> RenderedRequest:
    """The prompt that the server would send to this model. Raises `UnusableModel`, `DragomanError`."""
    from dragoman.engines.llama.embedded import EmbeddedLlama  # noqa: PLC0415 -- a template alone needs no engine

    weights = resolve(model)
    engine = EmbeddedLlama(weights.path, name=weights.id, parallel=1)
    try:
        served = await ServedModel.load(ModelEntry.of(engine, dialect=dialect), Settings())
        prompt = await served.prompt(await _without_attachments(conversation, served.media))
    finally:
        await engine.close()
    return RenderedRequest(
        prompt=prompt.text,
        tokens=len(prompt.tokens),
        dialect=served.dialect.name,
        thinking_open=prompt.thinking_open,
        notes=prompt.notes,
        losses=served.capabilities.losses,
    )
