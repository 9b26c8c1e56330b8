"""`dragoman ps` and `dragoman stop`: the models of a running server."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import click
import msgspec

from dragoman.cli.durations import NEVER, shown_duration
from dragoman.cli.http import DEFAULT_URL, ask
from dragoman.cli.sizes import shown
from dragoman.cli.tables import table

_STOP_SECONDS: Final = 90.0
"""The server answers when the model is unloaded, at the latest after a minute."""
_HEADER: Final = ("NAME", "STATE", "BUSY", "WAITING", "WINDOW", "CACHED", "TOKENS/S", "MEMORY", "UNLOADED IN", "DEVICE")

Status = Mapping[str, Any]


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name a server."""
    key = click.option("--api-key", metavar="KEY", help="API key of the server.")
    url = click.option("--url", metavar="URL", default=DEFAULT_URL, show_default=True, help="The running server.")
    return url(key(command))


@click.command(short_help="Show the models of a running server.")
@server_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ps(url: str, api_key: str | None, *, as_json: bool) -> None:
    """Show the models of a running server: which are loaded, where they compute, and how busy they are.

    BUSY are slots that answer a request, CACHED the conversations in the KV cache, TOKENS/S the recent speed of one answer.
    """
    answer = ask(url, "/api/models", api_key)
    click.echo(msgspec.json.encode(answer) if as_json else "\n".join(_lines(answer)))


@click.command(short_help="Unload a model of a running server.")
@click.argument("model")
@server_options
def stop(model: str, url: str, api_key: str | None) -> None:
    """Unload MODEL, named as in `dragoman ps`, when the requests that use it are complete. The next request loads it again."""
    status = ask(url, f"/api/models/{quote(model)}/stop", api_key, method="POST", timeout=_STOP_SECONDS)
    if status["state"] == "unloading":
        click.echo(f"{status['id']} still answers requests: it is unloaded when they are complete")
    else:
        click.echo(f"{status['id']} is {status['state']}")


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    models: list[Status] = answer["models"]
    yield from table(_HEADER, [_row(model) for model in models])
    for model in models:
        if model["reason"]:
            yield f"{model['id']}: {model['reason']}"
    if answer["memory"] is not None:
        taken = sum(model["memory"] for model in models if model["state"] in ("loading", "loaded", "unloading"))
        yield f"{shown(taken)} of {shown(answer['memory'])} of memory are taken"


def _row(model: Status) -> list[str]:
    is_loaded = model["state"] == "loaded"
    return [
        model["id"],
        model["state"],
        f"{model['busy']} of {model['slots']}" if is_loaded else "",
        str(model["waiting"] or ""),
        f"{model['window']:,}" if model["window"] else "",
        _number(model["conversations"]),
        _number(model["tokens_per_second"]),
        shown(model["memory"]) if model["memory"] else "",
        _unloaded_in(model) if is_loaded else "",
        model["computes"] or model["engine"] or "",
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)


def _unloaded_in(model: Status) -> str:
    if model["keep_alive_left"] is not None:
        return shown_duration(model["keep_alive_left"])
    if model["busy"] or model["waiting"]:
        return ""
    return "pinned" if model["pinned"] else NEVER
