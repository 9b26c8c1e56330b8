"""The effect of each hostile request on the gateway and on another client.

Each kind is sent to a new gateway over the scripted engine, while another process keeps sending tiny requests. The waits of
single runs vary by half on a machine with other work; so the median of the runs is compared with the target.
"""

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.client import HEADERS, asking
from bench.hostile import KINDS, TOOL, Kind
from bench.other_client import Request, other_client
from bench.processes import peak_megabytes, reset_peak, scripted
from bench.report import Row

ANSWER, WAIT, GROWTH, STATUS = 10.0, 0.1, 200.0, 500
"""The targets: seconds to the answer, seconds that others wait, growth of the gateway in megabytes, a status below this."""
_GIVE_UP = 30.0
_AFTER = 0.05
"""Seconds after the answer in which the other client is still measured."""
_TARGET = f"<= {ANSWER:.0f} s, < {STATUS}, <= {WAIT * 1000:.0f} ms, <= {GROWTH:.0f} MB"
_CALL = f'<tool_call>\n{{"name": "{TOOL}", "arguments": {{"value": []}}}}\n</tool_call>'
"""The engine's output: a call if one is forced; text if there are no tools."""
_TINY = json.dumps(asking("Hi.", 1)).encode()


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of one request.

    Seconds to the whole answer, its status (`None`: no answer), the longest wait of another client in seconds, the number of
    that client's failed requests, growth of the gateway's main process in megabytes, whether it still answers.
    """

    answer: float
    status: int | None
    wait: float
    failed: int
    growth: float
    alive: bool

    @property
    def missed(self) -> list[str]:
        """The names of the missed targets."""
        checks = {
            "answer": self.answer <= ANSWER,
            "status": self.status is not None and self.status < STATUS,
            "others' wait": self.wait <= WAIT,
            "others' answers": not self.failed,
            "growth": self.growth <= GROWTH,
            "alive": self.alive,
        }
        return [name for name, holds in checks.items() if not holds]

    def __str__(self) -> str:
        status = self.status or "no answer"
        return f"{self.answer:.2f} s, {status}, {self.wait * 1000:.0f} ms, {self.growth:+.0f} MB"


async def measure(runs: int) -> list[Row]:
    """Send every kind `runs` times."""
    rows = []
    for name, kind in KINDS.items():
        body = kind.body()
        effect = together([effect_of(kind, body) for _ in range(runs)])
        figure = f"{name} ({len(body) / 1e6:.1f} MB)"
        rows.append(
            Row(figure, str(effect), "", "answer, status, others' wait, growth", _TARGET, missed=", ".join(effect.missed))
        )
    return rows


def together(effects: Sequence[Effect]) -> Effect:
    """Return the effect of several runs: the median of the waits, and the worst of everything else."""
    return Effect(
        answer=max(effect.answer for effect in effects),
        status=max((effect.status for effect in effects), key=lambda status: status or STATUS),
        wait=median(effect.wait for effect in effects),
        failed=max(effect.failed for effect in effects),
        growth=max(effect.growth for effect in effects),
        alive=all(effect.alive for effect in effects),
    )


def effect_of(kind: Kind, body: bytes) -> Effect:
    """Start a gateway, send it this body while another client is served, and measure both."""
    with scripted([{"output": _CALL}]) as (url, pid):
        tiny = Request(url, "/v1/messages", _TINY, HEADERS)
        with other_client(tiny) as others_wait:
            for _ in range(20):
                tiny.send_once()
            others_wait()
            reset_peak(pid)
            before = peak_megabytes(pid)
            status, answer = Request(url, kind.path, body, HEADERS, _GIVE_UP).send_once()
            time.sleep(_AFTER)
            wait, failed = others_wait()
            alive = tiny.send_once()[0] == http.client.OK
            return Effect(answer, status, wait, failed, peak_megabytes(pid) - before if alive else 0.0, alive)
