"""A stranger's eye on a server that says it speaks the Messages API: it knows the wire and nothing else of this house.

A check is a value (`check.py`): what should be true, who suffers where it is not, and a coroutine that plays a client's part.
`client.py` is that client, `stream.py` reads event streams without forgiving them, `bodies.py` is what an agent says, and
`examine.py` runs one check after the other. The checks stand in `checks/`, a file per subject. Each judges one thing, and takes
what it meets on the way as leniently as it can, so that one defect of a server is one line in the report.
"""

from dragoman.doctor.check import Check, Outcome, Result
from dragoman.doctor.checks import CHECKS
from dragoman.doctor.client import Client, Unreachable
from dragoman.doctor.run_checks import run_checks

__all__ = ["CHECKS", "Check", "Client", "Outcome", "Result", "Unreachable", "run_checks"]
