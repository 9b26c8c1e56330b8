"""Runs work on constraints off the event loop: on small ones in a thread, on all others in a worker process.

The compiler is native code. With a schema that unfolds, has large bounds or long patterns it may take seconds or gigabytes, or
overflow its stack; in a worker only the request fails (docs/constraints.md).
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from dragoman.constraints.lark import Uncompilable
from dragoman.constraints.tree import Constraint, Json, Until, nodes
from dragoman.errors import InvalidRequest
from dragoman.json_schema.size import measured
from dragoman.worker_pool import POOL, TooExpensive

P = ParamSpec("P")
T = TypeVar("T")

_SMALL_TREE: Final = 20_000
"""Nodes of a constraint."""
_SMALL_SCHEMAS: Final = 4_000
"""Objects and arrays of all its schemas together: some 60 ms of compiling."""
_SHALLOW: Final = 50
"""Levels of nesting: the compiler takes some 9 KB of its stack for each."""
_FEW: Final = 200
_SHORT: Final = 1_000
_STACK: Final = 2 << 20
"""Bytes of stack in a worker: less than engines have, so that a schema that would overflow theirs ends a worker first."""


async def off_the_loop(constraint: Constraint, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`, a module-level function that processes the constraint.

    Raises `InvalidRequest` at the path of the constraint where that exceeds the limits of a worker process, is nested too
    deeply or does not compile, and any other error that `work` raises.
    """
    try:
        if is_small(constraint):
            return await asyncio.to_thread(work, *args, **kwargs)
        return await POOL.run(on_small_stack, partial(work, *args, **kwargs))
    except Uncompilable as error:
        reason = f"these schemas cannot be enforced: {str(error)[:_FEW]}"
    except TooExpensive as error:
        reason = f"enforcing these schemas {error}; make them smaller"
    except RecursionError:
        reason = "these schemas are nested too deeply to be enforced"
    raise InvalidRequest.at(constraint.path, reason)


def on_small_stack(work: Callable[[], T]) -> T:
    """The result of `work` in a thread with a stack of `_STACK` bytes; for single-threaded processes, as the size is global."""
    before = threading.stack_size(_STACK)
    try:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(work).result()
    finally:
        threading.stack_size(before)


def is_small(constraint: Constraint) -> bool:
    """Whether the constraint cannot take much time or memory to compile."""
    schemas = 0
    for number, node in enumerate(nodes(constraint)):
        if number > _SMALL_TREE:
            return False
        if isinstance(node, Until) and sum(map(len, node.patterns)) > _FEW:
            return False
        if isinstance(node, Json):
            size = measured(node.schema)
            schemas += size.nodes
            if (
                schemas > _SMALL_SCHEMAS
                or max(size.depth, size.unfolded) > _SHALLOW
                or max(size.alternatives, size.conjunctions, size.patterns) > _FEW
                or max(size.properties, size.enum, size.least, size.most) > _SHORT
                or (size.conjunctions > 1 and size.alternatives > 1)
                or size.dynamic
            ):
                return False
    return True
