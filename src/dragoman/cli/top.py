"""`dragoman top`: the models and the last requests of a running server, as a table that is drawn again every second."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from shutil import get_terminal_size
from typing import Any, Final, NamedTuple

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dragoman.cli.http import ask
from dragoman.cli.running import server_options
from dragoman.cli.usage_error import UsageError

_SECOND: Final = 1.0
_NUMBERS: Final = {"PROMPT", "TOTAL", "OUT", "TOKENS/S"}
_FLEXIBLE: Final = {"WHO", "MODEL", "ENDING", "DEVICE"}
_SHORT_ID: Final = 8
_LONGEST_NAME: Final = 28
_BAR: Final = 14
"""Characters of a bar."""
_TOKENS: Final = {"cached": ("█", "green"), "new": ("░", "yellow")}
_TIMES: Final = {"prepare": ("·", "white"), "queue": ("-", "yellow"), "prefill": ("▒", "blue"), "decode": ("█", "cyan")}
"""What each piece of a bar is drawn with."""
_OTHER_LINES: Final = 8
"""Lines of a screen that are neither a model nor a request."""
_ONCE: Final = 40
_WIDTH: Final = 160
"""Requests that are printed, and characters of a line, where the output is not a terminal."""
_WIDE: Final = 120
"""Characters of a line with bars."""

Fields = Mapping[str, Any]


@click.command(short_help="Show the last requests of a running server, live.")
@server_options
@click.option("--once", is_flag=True, help="Print the table once; so it is where the output is not a terminal.")
def top(url: str, api_key: str | None, *, once: bool) -> None:
    """Show the models and the last requests of a running server, every second: tokens, times, endings, repairs.

    The bars are the cached (█) and new (░) tokens of the prompt, and the time to prepare (·), queue (-), prefill (▒) and
    decode (█).
    """
    console = Console()
    answer = ask(url, "/api/requests", api_key)
    if once or not console.is_terminal:
        console.width = get_terminal_size((_WIDTH, _ONCE)).columns
        console.print(_screen(answer, console.width, _ONCE))
        return
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_fitted(console, url, api_key), refresh=True)
                time.sleep(_SECOND)
    except KeyboardInterrupt:
        sys.exit(0)


def _fitted(console: Console, url: str, api_key: str | None) -> RenderableType:
    """The newest state, as many requests as fit; or why there is none, since the server may come back."""
    try:
        answer = ask(url, "/api/requests", api_key)
    except UsageError as error:
        return Text(error.format_message())
    return _screen(answer, console.width, max(console.height - len(answer["models"]["models"]) - _OTHER_LINES, 1))


def _screen(answer: Fields, width: int, most: int) -> RenderableType:
    models = _table("MODEL", "STATE", "BUSY", "WAITING", "WINDOW", "CACHED", "TOKENS/S", "DEVICE")
    for model in answer["models"]["models"]:
        models.add_row(*map(_plain, _model(model)))
    columns = [column for column in _COLUMNS if width >= _WIDE or column.always]
    requests = _table(*(column.title for column in columns))
    for request in islice(answer["requests"], most):
        requests.add_row(*(column.shown(request) for column in columns))
    note = "nothing is kept: the server runs with --inspect off" if answer["inspect"] == "off" else ""
    return Group(models, Text(), requests, Text(note))


def _table(*names: str) -> Table:
    """A table whose columns have the width of their content, except the flexible ones where the line is too short."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=name not in _FLEXIBLE, justify="right" if name in _NUMBERS else "left")
    return table


def _model(model: Fields) -> Sequence[str]:
    return [
        model["id"],
        model["state"],
        "" if model["slots"] is None else f"{model['busy']} of {model['slots']}",
        str(model["waiting"] or ""),
        "" if model["window"] is None else f"{model['window']:,}",
        "" if model["conversations"] is None else str(model["conversations"]),
        "" if model["tokens_per_second"] is None else f"{model['tokens_per_second']:.1f}",
        model["computes"] or model["engine"] or "",
    ]


def _time(request: Fields) -> Text:
    return _plain(f"{datetime.fromisoformat(request['began']).astimezone():%H:%M:%S}")


def _who(request: Fields) -> Text:
    entry = request["entry"]
    who = entry.get("key") or entry.get("client", "").partition(" ")[0] or "-"
    return _plain(" ".join(filter(None, (who[:_LONGEST_NAME], entry.get("session", "")[:_SHORT_ID]))))


def _prompt(request: Fields) -> Text:
    tokens = request["entry"].get("tokens")
    return _plain(f"{tokens['prompt']:,} {_percent(tokens)}" if tokens else "")


def _percent(tokens: Fields) -> str:
    return f"{tokens['cached'] / tokens['prompt']:.0%}" if tokens["prompt"] else ""


def _output(request: Fields) -> Text:
    tokens = request["entry"].get("tokens")
    return _plain(f"{tokens['output']:,}" if tokens else "")


def _speed(request: Fields) -> Text:
    speed = request["entry"].get("tokens_per_second")
    return _plain(f"{speed:.1f}" if speed else "")


def _token_bar(request: Fields) -> Text:
    tokens = request["entry"].get("tokens")
    return _bar({name: tokens[name] for name in _TOKENS} if tokens else {}, _TOKENS)


def _time_bar(request: Fields) -> Text:
    seconds = request["entry"]["seconds"]
    return _bar({name: seconds.get(name) or 0 for name in _TIMES}, _TIMES)


def _bar(values: Mapping[str, float], pieces: Mapping[str, tuple[str, str]]) -> Text:
    """A bar whose pieces are as long as their shares; what is not zero is at least one character long."""
    total = sum(values.values())
    bar = Text()
    for name, value in values.items():
        if value and total:
            character, style = pieces[name]
            bar.append(character * max(round(_BAR * value / total), 1), style)
    return bar[:_BAR] if bar else bar


def _ending(request: Fields) -> Text:
    phase, entry, text = request["phase"], request["entry"], _plain("")
    if phase != "over":
        text.append(phase, "bold cyan")
    elif "error" in entry:
        text.append(_printable(entry["error"]), "red")
    else:
        text.append(_printable(entry.get("ending") or str(entry["status"])), "green")
    if calls := entry.get("calls"):
        text.append(f" {calls} call{'s' if calls > 1 else ''}")
    if entry.get("diverged"):
        text.append(" prefix broke", "yellow")
    for repair in dict.fromkeys((*entry.get("repairs", ()), *entry.get("broken", ()))):
        text.append(f" {_printable(repair)}", "yellow")
    return text


def _plain(text: str) -> Text:
    return Text(_printable(text), no_wrap=True, overflow="ellipsis")


def _printable(text: str) -> str:
    """The text without control characters: names come from clients."""
    return "".join(character if character.isprintable() else "·" for character in text)


class _Column(NamedTuple):
    """A column of the requests; those that are not shown `always` need a wide terminal."""

    title: str
    shown: Callable[[Fields], Text]
    always: bool = True


_COLUMNS: Final = (
    _Column("BEGAN", _time),
    _Column("WHO", _who),
    _Column("MODEL", lambda request: _plain(request["entry"].get("model", "-")[:_LONGEST_NAME])),
    _Column("TOKENS", _token_bar, always=False),
    _Column("PROMPT", _prompt),
    _Column("TIMES", _time_bar, always=False),
    _Column("TOTAL", lambda request: _plain(f"{request['entry']['seconds']['total']:.1f}s")),
    _Column("OUT", _output),
    _Column("TOKENS/S", _speed, always=False),
    _Column("ENDING", _ending),
)
