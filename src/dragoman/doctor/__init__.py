"""Checks of any server with the API of Anthropic or OpenAI, over HTTP only: the package imports nothing else of ours.

A check is a value (`check.py`): what should be true, why it matters, and a coroutine that acts as a client. `client.py` is that
client, `stream.py` reads event streams without repairing them, `request_fixtures.py` has the requests, and `run_checks.py` runs
one check after the other. The checks are in `checks/` and `openai/checks/`, a file per subject. Each judges one thing and reads
everything else as leniently as it can, so that one defect of a server is one line in the report.
"""

from collections.abc import Mapping, Sequence

from dragoman.doctor.api import CHAT_API, MESSAGES_API, RESPONSES_API, Api
from dragoman.doctor.check import Check, Outcome, Result
from dragoman.doctor.checks import CHECKS
from dragoman.doctor.client import Client, Unreachable
from dragoman.doctor.openai import CHAT_CHECKS, RESPONSES_CHECKS
from dragoman.doctor.run_checks import run_checks

CHECKS_OF: Mapping[Api, Sequence[Check]] = {
    MESSAGES_API: CHECKS,
    CHAT_API: CHAT_CHECKS,
    RESPONSES_API: RESPONSES_CHECKS,
}
"""The checks of each API format."""

__all__ = [
    "CHAT_API",
    "CHECKS",
    "CHECKS_OF",
    "MESSAGES_API",
    "RESPONSES_API",
    "Api",
    "Check",
    "Client",
    "Outcome",
    "Result",
    "Unreachable",
    "run_checks",
]
