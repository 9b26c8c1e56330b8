"""Generates the reference of commands and options in docs/configuration.md from the click commands."""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from dragoman.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
_PART = re.compile(r"(<!-- reference: made by scripts/options-table -->\n).*?(\n<!-- /reference -->)", re.DOTALL)


def updated() -> str:
    """The page with an up-to-date reference."""
    lines = "\n".join(reference()).rstrip()
    page, count = _PART.subn(lambda match: f"{match[1]}\n{lines}\n{match[2]}", PAGE.read_text(encoding="utf-8"))
    assert count == 1
    return page


def reference() -> Iterator[str]:
    """The lines of a section for each command."""
    for name, command in main.commands.items():
        with click.Context(command, info_name=f"dragoman {name}", auto_envvar_prefix=f"DRAGOMAN_{name.upper()}") as context:
            yield from _section(command, context)


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n"
    yield f"    {' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n"
    yield f"{_cell(command.help or '')}\n"
    options = [option for option in command.params if isinstance(option, click.Option)]
    if not options:
        return
    yield "| option | variable | default | what it does |"
    yield "| --- | --- | --- | --- |"
    for option in options:
        variable = f"`{context.auto_envvar_prefix}_{(option.name or '').upper()}`"
        yield f"| {_names(option)} | {variable} | {_default(option)} | {_cell(option.help or '')} |"
    yield ""


def _names(option: click.Option) -> str:
    if option.is_flag:
        return f"`{', '.join(option.opts)}`"
    if isinstance(option.type, click.Choice):
        return f"`{', '.join(option.opts)}` {', '.join(f'`{choice}`' for choice in option.type.choices)}"
    value = option.metavar or ("N" if isinstance(option.type, click.types.IntParamType) else "TEXT")
    text = f"{', '.join(option.opts)} {value}"
    return f"<code>{text.replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"  # `|` would end the cell


def _default(option: click.Option) -> str:
    return f"`{option.default}`" if option.show_default else ""


def _cell(text: str) -> str:
    """Help text as one line of Markdown per paragraph."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return "\n\n".join(paragraphs).replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")
