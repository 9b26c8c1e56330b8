"""What a scripted engine generates below a real server, and how a test in another process sets it.

It also runs in the server's environment, which has xgrammar and not Dragoman. The test sends JSON lines to a Unix socket:
`{"script": …}` sets what is generated, `{"forget": true}` forgets what was received; each line is answered with the records.
"""

import json
import os
import socketserver
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import Any, Literal

from engines.folders import spelled

Fault = Literal["", "loads", "refuses", "fails midway"]

SOCKET = "DRAGOMAN_TEST_SCRIPT"
"""The environment variable with the path of the socket."""
HTTP = ".http"
"""What follows in the path of the socket of the HTTP server, where that is another process than the engine."""
ENDPOINTS = ("/generate", "/v1/chat/completions")
CUT = 4
"""The step instead of which a reply that fails midway fails."""


@dataclass(frozen=True)
class Script:
    """What the engine generates: the token ids of each step, and how it fails.

    `whole` is the same text as the tokenizer writes it.
    `ending` is the token that ends a generation; `held_at` the number of the step before which every request waits; `pace` the
    seconds between steps, in which all requests advance by one.
    """

    steps: Sequence[Sequence[int]] = ()
    whole: Sequence[int] = ()
    ending: int = 0
    cached: int = 0
    fault: Fault = ""
    held_at: int | None = None
    pace: float = 0.0

    def within(self, limit: int, steps: Sequence[Sequence[int]]) -> Iterator[tuple[Sequence[int], bool]]:
        """The steps within a limit, and then the token that ends the generation; each with whether it is the last one."""
        for ids in (*steps, [self.ending]):
            is_last = limit <= len(ids) or ids == [self.ending]
            yield ids[:limit], is_last
            if is_last:
                return
            limit -= len(ids)


@dataclass
class Records:
    """What reached the engine: requests, the headers of their posts, and all keys; and how many wait or were cancelled.

    `pid` is the process of the engine.
    """

    received: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    holding: int = 0
    cancelled: int = 0
    pid: int = field(default_factory=os.getpid)


class Control:
    """The script and the records of this process, under the control of the test."""

    def __init__(self) -> None:
        self.script = Script()
        self.records = Records()

    def listen(self, suffix: str = "") -> None:
        """Answer the test's lines from a thread, at the path in the environment."""
        control = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write(json.dumps(asdict(control.obey(json.loads(line)))).encode() + b"\n")

        server = socketserver.ThreadingUnixStreamServer(os.environ[SOCKET] + suffix, Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def record(self, **request: Any) -> None:
        """Record a request."""
        self.records.received.append(request)

    def obey(self, line: Mapping[str, Any]) -> Records:
        """Carry out a line."""
        if "script" in line:
            self.script = Script(**line["script"])
        if line.get("forget"):
            self.records = Records(holding=self.records.holding)
        return self.records


def made_up(token: int) -> float:
    """The log-probability of a token."""
    return -(1 + token % 7) / 8


class Enforcer:
    """Keeps a script within a constraint, by xgrammar, as the replaced engine does."""

    def __init__(self, tokenizer: Any) -> None:
        import xgrammar  # noqa: PLC0415 -- only the servers have it

        self._matcher = xgrammar.GrammarMatcher
        self.compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo.from_huggingface(tokenizer))
        self._vocabulary: Mapping[str, int] = tokenizer.get_vocab()

    def steps(self, compiled: Any, script: Script) -> Sequence[Sequence[int]]:
        """The script's steps as far as the constraint allows them; if it allows none, what it leaves no choice about.

        A constraint may ask for special tokens, which only `whole` has.
        """
        if not compiled:
            return script.steps
        forced = [self._vocabulary[letter] for letter in spelled(self._matcher(compiled).find_jump_forward_string().encode())]
        kept = self._kept(compiled, script.steps)
        if len(kept) < len(script.steps):
            kept = self._kept(compiled, [[token] for token in script.whole])
        return kept or [forced]

    def _kept(self, compiled: Any, steps: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
        matcher = self._matcher(compiled)
        return list(takewhile(lambda ids: all(map(matcher.accept_token, ids)), steps))


class Recorder:
    """An ASGI application that records the keys of all requests and the headers of those for tokens."""

    def __init__(self, app: Any, control: Control) -> None:
        self._app, self._control = app, control

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
            self._control.records.keys.append(headers.get("authorization"))
            if scope["path"] in ENDPOINTS:
                self._control.records.headers.append(headers)
        await self._app(scope, receive, send)
