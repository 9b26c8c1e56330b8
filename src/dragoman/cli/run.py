"""Runs the server: loading, signals, the banner."""

import asyncio
import contextlib
import gc
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import click
import uvicorn
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dragoman.cli.access import Access
from dragoman.cli.dealt import DealtConnections
from dragoman.cli.model_list import ModelList
from dragoman.cli.reload import Reload, reload_on_hangup
from dragoman.errors import DragomanError, ShuttingDown
from dragoman.server import ModelEntry, ModelRegistry, ServedModel, create_app
from dragoman.server.transport.connection import Connection
from dragoman.server.transport.killed_worker import ConnectionTable, WatchedConnection
from dragoman.server.transport.siblings import Siblings
from dragoman.worker_pool import POOL

_LOG = logging.getLogger(__name__)
DRAIN_SECONDS = 30
"""How long a running request may continue after a signal to stop."""
_KEEP_ALIVE_SECONDS = 75
_WARM_AFTER = 2
"""Seconds after the start at which worker processes start, so that they do not compete with the first requests."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What one of several processes on a port gets from its parent.

    Its connections arrive on the `channel`, and not at the listener; `table` has rows for them. One of the workers `announces`
    the server. `shared` is a folder for what all of them share: metrics, and the sockets at which they answer each other.
    """

    channel: socket.socket
    table: ConnectionTable
    announces: bool
    shared: Path


def run(
    registry: ModelRegistry, models: ModelList, listener: socket.socket, access: Access, worker: Worker | None = None
) -> int:
    """Serve `models`, which are in the registry, until a signal arrives; returns the exit code of the process.

    It prints the banner when the model is loaded.
    """
    certificate = access.certificate
    config = uvicorn.Config(
        create_app(registry, worker.shared if worker else None, access.keyring),
        http=Connection,
        loop="auto",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS + 10,
        ssl_context_factory=(lambda *_: certificate.context) if certificate else None,
    )
    url = _url(listener, encrypted=certificate is not None)
    if worker is not None:
        registry.siblings = Siblings(worker.shared)
        listener.close()
    files: dict[str, Reload] = {**access.files}
    if models.has_file:
        files["the models"] = partial(models.reload, registry)

    def announce(served: ServedModel) -> str:
        return banner(served, url, needs_key=access.keyring.required, others=registry.entries[1:])

    server = _Server(config, registry, files, None if worker and not worker.announces else announce, worker)
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve([] if worker else [listener]))
    return server.exit_code


class _Server(uvicorn.Server):
    """uvicorn's server, which also loads the model, prints what `announce` makes of it, and drains requests on a signal."""

    def __init__(
        self,
        config: uvicorn.Config,
        registry: ModelRegistry,
        files: Mapping[str, Reload],
        announce: Callable[[ServedModel], str] | None,
        worker: Worker | None,
    ) -> None:
        super().__init__(config)
        self._files = files
        self._worker = worker
        self._dealt: DealtConnections | None = None
        self._announcement = announce
        self.exit_code = 0
        self._registry = registry
        self._announcing: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and load the model in the background."""
        reload_on_hangup(self._files)
        await super().startup(sockets=sockets)
        if self._worker is not None:
            self._dealt = DealtConnections(self._worker.channel, self._worker.table, self._protocol, self.config.ssl)
            self._dealt.start()
            loop, listener = asyncio.get_running_loop(), self._registry.siblings.listen()
            self.servers.append(await loop.create_unix_server(partial(self._protocol, None), sock=listener))
        self._announcing = asyncio.create_task(self._announce())

    async def main_loop(self) -> None:
        """Wait for the end. uvicorn looks for it, and at the clock, ten times a second, half a percent of a core."""
        await self._ending.wait()

    def _protocol(self, watched: WatchedConnection | None) -> asyncio.Protocol:
        state = self.lifespan.state
        return Connection(config=self.config, server_state=self.server_state, app_state=state, watched=watched)

    async def _announce(self) -> None:
        console = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            progress.add_task("loading the model", total=None)
            loading = await self._registry.outcome()
        failure = loading.exception()
        if failure is None:
            asyncio.get_running_loop().call_later(_WARM_AFTER, self._warm, loading.result())
            gc.freeze()  # the loaded objects stay: the garbage collector need not scan them again
            if self._announcement is not None:
                click.echo(self._announcement(loading.result()))
                sys.stdout.flush()
            return
        if isinstance(failure, ShuttingDown):
            return
        if self._registry.residents.failure(self._registry.default) is None:
            _LOG.warning("%s; the next request loads it", failure)
            return
        click.echo(f"Error: {failure}", err=True)
        if not isinstance(failure, DragomanError):
            _LOG.error("loading failed", exc_info=failure)
        self.exit_code = 1
        self.should_exit = True
        self._ending.set()

    def _warm(self, loaded: ServedModel) -> None:
        """Start a worker process of each kind, so that the first large request does not wait for one."""
        POOL.warm()
        loaded.media.warm()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals without raising them again at the end, as uvicorn does, so that the exit code is 0."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain requests, and end those that still run after `DRAIN_SECONDS`; a second signal ends them at once."""
        asyncio.get_running_loop().call_soon_threadsafe(self._drain, 0 if self.should_exit else DRAIN_SECONDS)
        super().handle_exit(sig, frame)

    def _drain(self, seconds: float) -> None:
        self._ending.set()
        if self._dealt is not None:
            self._dealt.stop()
        self._registry.residents.drain()
        asyncio.get_running_loop().call_later(seconds, self._registry.residents.expire)


def _url(listener: socket.socket, *, encrypted: bool) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{'https' if encrypted else 'http'}://{shown}:{port}"


def _named(entry: ModelEntry) -> str:
    """The name of another model, with the names for which it is used."""
    return f"{entry.id} (for names with {' or '.join(entry.tiers)})" if entry.tiers else str(entry.id)


KEY_VARIABLE = "DRAGOMAN_KEY"
"""The variable for the key in the lines to paste: a key is never printed."""


def banner(served: ServedModel, url: str, *, needs_key: bool, others: Sequence[ModelEntry] = ()) -> str:
    """The URL, the models, the dialect, and three lines to paste, with a variable in place of the key."""
    model, token = served.info.id, f"${KEY_VARIABLE}" if needs_key else "none"
    key = f'__import__("os").environ["{KEY_VARIABLE}"]' if needs_key else '"none"'
    detection = served.detection
    header = f' -H "x-api-key: ${KEY_VARIABLE}"' if needs_key else ""
    body = json.dumps({"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "Hello!"}]})
    code = (
        f'from anthropic import Anthropic; print(Anthropic(base_url="{url}", api_key={key}).messages.create('
        f'model="{model}", max_tokens=64, messages=[{{"role": "user", "content": "Hello!"}}]).content[0].text)'
    )
    window = served.prompts.window
    variables = f"ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={token} ANTHROPIC_MODEL={model}"
    lines = [
        "",
        f"Dragoman serves {model} at {url}",
        *([f"It also has {', '.join(map(_named, others))}: loaded when a request names it"] if others else []),
        f"It reads the dialect {detection.dialect.name} ({detection.found})",
        *(f"  {what}: {found}" for what, found in served.found.found.items()),
        *([f"It requires a key; the lines below read it from the variable {KEY_VARIABLE}"] if needs_key else []),
        "",
        f"  curl {url}/v1/messages -H 'content-type: application/json' -H 'anthropic-version: 2023-06-01'{header} -d '{body}'",
        f"  python -c '{code}'",
        f"  {variables} CLAUDE_CODE_MAX_CONTEXT_TOKENS={window} claude",  # `dragoman claude` sets more variables
        "",
    ]
    return "\n".join(lines)
