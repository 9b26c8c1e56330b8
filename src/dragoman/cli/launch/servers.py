"""The server behind the client: the one that runs, or one of our own, for as long as the client does."""

import json
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
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import click

from dragoman.cli.launch.environment import LOOPBACK, NO_KEY, Target
from dragoman.cli.usage_error import UsageError

DEFAULT_URL = "http://127.0.0.1:8000"
"""Where `dragoman serve` listens unless it is told otherwise."""

_TIMEOUT_S = 5.0
_PAUSE_S = 0.2
_FAREWELL_S = 10.0
_ANNOUNCED = re.compile(r"^Dragoman serves \S+ at (?P<url>\S+)$", re.MULTILINE)
_LAST_LINES = 5


class NoServer(Exception):
    """Nobody there answers as a server of the Messages API would; the message says what was met instead."""


class WrongKey(NoServer):
    """It might, for somebody with its key."""


@dataclass(frozen=True, slots=True)
class Model:
    """One that a server has; `window` in tokens, None where it does not say."""

    id: str
    window: int | None


def models(url: str, key: str | None) -> list[Model]:
    """What the server at `url` serves. Waits while it loads. Raises `NoServer`, `WrongKey`."""
    _await_health(url)
    try:
        page = _get(f"{url}/v1/models?limit=1000", key)
        listed = [Model(entry["id"], _window(entry)) for entry in page["data"]]
    except HTTPError as error:
        if error.code in (401, 403):
            raise WrongKey(f"it wants {'another' if key else 'a'} key: --api-key KEY") from None
        raise NoServer(f"it answers {error.code} to the question for its models") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoServer(f"it does not say which models it has: {error}") from None
    if not listed:
        raise NoServer("it has no models")
    return listed


def choose(listed: Sequence[Model], wanted: str | None) -> Model | None:
    """The model that was wanted, or the first."""
    return next((model for model in listed if wanted in (None, model.id)), None)


@contextmanager
def started(arguments: Sequence[str]) -> Iterator[Target]:
    """A server of our own, `dragoman serve ARGUMENTS`, on a free port and with a key that nobody else knows, until the end.

    Blocks until the model is loaded. Raises `UsageError` with its last words where it is not.
    """
    key = secrets.token_urlsafe()
    descriptor, name = tempfile.mkstemp(prefix="dragoman-", suffix=".log")
    log = Path(name)
    # -P: the project that the user stands in has no say in what is imported
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
        raise UsageError(f"the server that was started is of no use: {error}; its log is {log}") from error
    finally:
        _end(process)


def _announced(process: subprocess.Popen[bytes], log: Path) -> str:
    click.echo(f"Starting a server; its log is {log}", err=True)
    with _patience("loading the model"):
        while True:
            ended = process.poll() is not None
            written = log.read_text(encoding="utf-8", errors="replace")
            if announced := _ANNOUNCED.search(written):
                return announced["url"]
            if ended:
                words = written.strip().splitlines()[-_LAST_LINES:]
                raise UsageError("\n".join(["the server did not start:", *words]))
            time.sleep(_PAUSE_S)


@contextmanager
def _patience(words: str) -> Iterator[None]:
    """Show on a terminal that there is something to wait for."""
    from rich.console import Console  # noqa: PLC0415 -- slow to import, and every command comes by here

    with Console(stderr=True).status(words):
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_FAREWELL_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await_health(url: str) -> None:
    """Wait while the server says that it is not ready yet. Raises `NoServer` where it says anything else."""
    with _patience(f"waiting for the server at {url}"):
        while True:
            try:
                _get(f"{url}/health", None)
            except HTTPError as error:
                if error.code != 503:  # a gateway in front need not have the path
                    return
            except URLError as error:
                raise NoServer(f"nobody answers ({error.reason})") from None
            except (OSError, ValueError):
                return
            else:
                return
            time.sleep(_PAUSE_S)


def _get(url: str, key: str | None) -> Any:
    headers = {"anthropic-version": "2023-06-01", "authorization": f"Bearer {key or NO_KEY}"}
    direct = [ProxyHandler({})] if urlsplit(url).hostname in LOOPBACK else []
    try:
        with build_opener(*direct).open(Request(url, headers=headers), timeout=_TIMEOUT_S) as response:  # noqa: S310
            return json.load(response)
    except HTTPError as error:
        error.close()  # it is the answer, too
        raise


def _window(entry: dict[str, Any]) -> int | None:
    """Prompt and answer share it: the longest prompt leaves room for one token (`GET /v1/models`)."""
    longest = entry.get("max_input_tokens")
    return longest + 1 if isinstance(longest, int) else None
