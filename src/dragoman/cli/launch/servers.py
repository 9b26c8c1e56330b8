"""Asks a running server for its models, or starts a server of our own for as long as the client runs."""

import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import click

from dragoman.cli.http import DEFAULT_URL, StatusError, fetch
from dragoman.cli.launch.target import Target
from dragoman.cli.usage_error import UsageError

_PAUSE_S = 0.2
_TERMINATE_S = 10.0
_ANNOUNCED = re.compile(r"^Dragoman serves \S+ at (?P<url>\S+)$", re.MULTILINE)
_LAST_LINES = 5


__all__ = ["DEFAULT_URL", "Model", "NoServer", "WrongKey", "choose", "models", "started"]


class NoServer(Exception):
    """No server with the Messages API answers at the URL; the message says what happened instead."""


class WrongKey(NoServer):
    """The server requires another key."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a server; `window` in tokens, None if it is not reported."""

    id: str
    window: int | None


def models(url: str, key: str | None) -> list[Model]:
    """The models of the server at `url`. Waits while it loads. Raises `NoServer`, `WrongKey`."""
    _await_health(url)
    try:
        page = fetch(f"{url}/v1/models?limit=1000", key)
        listed = [Model(entry["id"], _window(entry)) for entry in page["data"]]
    except StatusError as error:
        if error.needs_key:
            raise WrongKey(f"it requires {'another' if key else 'a'} key: --api-key KEY") from None
        raise NoServer(f"it answers a request for its models with {error.status}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoServer(f"its list of models cannot be read: {error}") from None
    if not listed:
        raise NoServer("it has no models")
    return listed


def choose(listed: Sequence[Model], wanted: str | None) -> Model | None:
    """The wanted model; the first one if none is named."""
    return next((model for model in listed if wanted in (None, model.id)), None)


@contextmanager
def started(arguments: Sequence[str]) -> Iterator[Target]:
    """Run `dragoman serve ARGUMENTS` on a free port and with a random key, until the end of the block.

    Blocks until the model is loaded. Raises `UsageError` with the last lines of its log if it does not start.
    """
    key = secrets.token_urlsafe()
    descriptor, name = tempfile.mkstemp(prefix="dragoman-", suffix=".log")
    log = Path(name)
    # -P: nothing is imported from the user's current folder
    command = [sys.executable, "-P", "-m", "dragoman", "serve", *arguments, "--port", "0"]
    with os.fdopen(descriptor, "wb") as sink:
        process = subprocess.Popen(  # noqa: S603 -- ourselves
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DRAGOMAN_SERVE_API_KEY": key},
            start_new_session=True,  # Ctrl-C is for the client
        )
    try:
        url = _announced(process, log)
        model = models(url, key)[0]
        yield Target(url, model.id, model.window, key)
    except NoServer as error:
        raise UsageError(f"the server that was started cannot be used: {error}; its log is {log}") from error
    finally:
        _terminate(process)


def _announced(process: subprocess.Popen[bytes], log: Path) -> str:
    click.echo(f"Starting a server; its log is {log}", err=True)
    with _status("loading the model"):
        while True:
            ended = process.poll() is not None
            written = log.read_text(encoding="utf-8", errors="replace")
            if announced := _ANNOUNCED.search(written):
                return announced["url"]
            if ended:
                lines = written.strip().splitlines()[-_LAST_LINES:]
                raise UsageError("\n".join(["the server did not start:", *lines]))
            time.sleep(_PAUSE_S)


@contextmanager
def _status(text: str) -> Iterator[None]:
    """Show on a terminal what is waited for."""
    from rich.console import Console  # noqa: PLC0415 -- slow to import, and every command imports this module

    with Console(stderr=True).status(text):
        yield


def _terminate(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_TERMINATE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_health(url: str) -> None:
    """Wait while the server answers 503. Raises `NoServer` if nothing answers at the URL."""
    with _status(f"waiting for the server at {url}"):
        while True:
            try:
                fetch(f"{url}/health", None)
            except StatusError as error:
                if error.status != 503:  # a reverse proxy need not have the path
                    return
            except URLError as error:
                raise NoServer(f"no answer ({error.reason})") from None
            except (OSError, ValueError):
                return
            else:
                return
            time.sleep(_PAUSE_S)


def _window(entry: dict[str, Any]) -> int | None:
    """The context window: prompt and answer share it, and the longest prompt leaves space for one token."""
    longest = entry.get("max_input_tokens")
    return longest + 1 if isinstance(longest, int) else None
