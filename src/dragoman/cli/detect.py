"""`dragoman detect`: shows a model's dialect and what its chat template supports."""

import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from dragoman import dialects
from dragoman.cli.usage_error import UsageError
from dragoman.inspection.capability_probe import probe
from dragoman.inspection.detection import detect as decode_back
from dragoman.models import gguf_header as gguf
from dragoman.models.gguf_file import SUFFIX
from dragoman.models.resolve import HUB_PREFIX, UnusableModel, resolve
from dragoman.prompt import ChatTemplate, TemplateRefusal


@click.command(short_help="Show a model's dialect and what its chat template supports.")
@click.argument("model", metavar="[TEMPLATE|MODEL]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def detect(model: str | None, *, as_json: bool) -> None:
    """Examine a chat template, or that of a model.

    TEMPLATE is a Jinja file. MODEL is named as for `serve`: a path to a .gguf file or hf:OWNER/REPO[:QUANT]; the small default
    model if it is left out.
    """
    try:
        found = report(_tokenizer(model))
    except (TemplateRefusal, UnusableModel) as refusal:
        raise UsageError(str(refusal)) from refusal
    if "refused" in found and found["found"].startswith("generic"):  # not a chat template, or an unusable one
        raise UsageError(found["refused"])
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    width = max(map(len, found))
    for name, value in found.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {in_words(value)}")


def report(tokenizer: gguf.Tokenizer) -> dict[str, Any]:
    """The dialect, how it was found, the runners-up, and the capabilities by name, or why the template cannot be probed.

    Raises `TemplateRefusal` if the chat template does not compile.
    """
    own = _template(tokenizer, tokenizer.chat_template)
    with own.inspected() if own else nullcontext():
        detection = decode_back(own, tokenizer.special_tokens)
    used = own or _template(tokenizer, detection.dialect.reference_template or dialects.DEFAULT.reference_template)
    assert used is not None
    found = {"dialect": detection.dialect.name, "found": detection.found, "runners_up": detection.runners_up}
    try:
        return {**found, **_capabilities(used)}
    except TemplateRefusal as refusal:
        return {**found, "refused": str(refusal)}


def _tokenizer(model: str | None) -> gguf.Tokenizer:
    """The tokenizer data of a model, or only the chat template of a template file. Raises `UnusableModel`."""
    if model is None or model.startswith(HUB_PREFIX) or model.endswith(SUFFIX) or not Path(model).is_file():
        return gguf.tokenizer(resolve(model).path)
    try:
        return gguf.Tokenizer(Path(model).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableModel(f"{model} is neither a chat template nor a {SUFFIX} file: {error}") from None


def _template(tokenizer: gguf.Tokenizer, source: str | None) -> ChatTemplate | None:
    return ChatTemplate(source, bos_token=tokenizer.bos_token, eos_token=tokenizer.eos_token) if source else None


def _capabilities(template: ChatTemplate) -> dict[str, Any]:
    """The fields that the probe found and the properties derived from them. Raises `TemplateRefusal`."""
    with template.inspected():
        capabilities = probe(template)
    derived = [name for name, member in vars(type(capabilities)).items() if isinstance(member, property)]
    return {**asdict(capabilities), **{name: getattr(capabilities, name) for name in derived}}


def in_words(value: Any) -> str:
    """A value of the report as readable text."""
    match value:
        case None | () | []:
            return "none"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(in_words, value))
        case dict():
            return ", ".join(f"{name.replace('_', ' ')}: {in_words(inner)}" for name, inner in value.items())
        case _:
            return str(value)
