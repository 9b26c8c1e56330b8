"""Checks of any server with the Messages API, over HTTP only: the package imports nothing else of Dragoman.

A check is a value (`check.py`): what should be true, why it matters, and a coroutine that acts as a client. `client.py` is that
client, `stream.py` reads event streams without repairing them, `request_fixtures.py` has the requests, and `run_checks.py` runs
one check after the other. The checks are in `checks/`, a file per subject. Each judges one thing and reads everything else as
leniently as it can, so that one defect of a server is one line in the report.
"""

from dragoman.doctor.check import Check, Outcome, Result
from dragoman.doctor.checks import CHECKS
from dragoman.doctor.client import Client, Unreachable
from dragoman.doctor.run_checks import run_checks

__all__ = ["CHECKS", "Check", "Client", "Outcome", "Result", "Unreachable", "run_checks"]
