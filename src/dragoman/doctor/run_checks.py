"""Runs the checks one after the other; an exception in one becomes its result."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

from dragoman.doctor.check import Check, Outcome, Result
from dragoman.doctor.check_failed import CheckFailed, Skip, quoted
from dragoman.doctor.client import Client

LIMIT = 600.0
"""Seconds for one check."""


async def run_checks(client: Client, checks: Iterable[Check]) -> AsyncIterator[Result]:
    """Yield the results as they arrive, in the order of the checks."""
    for check in checks:
        began = time.monotonic()
        outcome, reason = await _outcome(check, client)
        yield Result(check, outcome, reason, time.monotonic() - began)


async def _outcome(check: Check, client: Client) -> tuple[Outcome, str]:
    try:
        async with asyncio.timeout(LIMIT):
            await check.run(client)
    except CheckFailed as failure:
        return Outcome.FAIL, str(failure)
    except Skip as skip:
        return Outcome.SKIP, str(skip)
    except TimeoutError:
        return Outcome.FAIL, f"not done within {LIMIT:.0f} seconds"
    except Exception as error:
        return Outcome.DEFECT, quoted(f"the check itself failed: {type(error).__name__}: {error}")
    return Outcome.PASS, ""
