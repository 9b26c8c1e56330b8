"""Makes the constraint of an answer: here if that is little work, otherwise in a worker process."""

from typing import Final

from dragoman.constraints.tree import Constraint
from dragoman.conversation import AnswerPolicy
from dragoman.dialects import Constrainer, Dialect
from dragoman.errors import InvalidRequest
from dragoman.json_schema.size import measured
from dragoman.worker_pool import POOL, TooExpensive

_FEW_NODES: Final = 4_000
_FEW_WAYS: Final = 20_000
"""Objects and arrays of all schemas, as written and with references followed: about 20 ms of work."""
_FEW_BRANCHES: Final = 100
_SHALLOW: Final = 40


async def constrained(constrainer: Constrainer, policy: AnswerPolicy, *, thinking_open: bool) -> Constraint | None:
    """Return the constraint of an answer, None if it has none. Raises `InvalidRequest` if it is too expensive to make."""
    key = constrainer.key(policy, thinking_open=thinking_open)
    if not constrainer.has(key):
        path = "tools" if policy.tools else "output_config.format"
        try:
            if is_small(policy):
                return constrainer.constraint(policy, thinking_open=thinking_open)
            made = await POOL.run(make, constrainer.dialect, policy, thinking_open=thinking_open)
        except TooExpensive as error:
            raise InvalidRequest.at(path, f"enforcing these schemas {error}; make them smaller") from None
        except RecursionError:
            raise InvalidRequest.at(path, "these schemas are nested too deeply to be enforced") from None
        constrainer.store(key, made)
    return constrainer.cached(key)


def make(dialect: Dialect, policy: AnswerPolicy, *, thinking_open: bool) -> Constraint | None:
    """Make a constraint in a worker process, which can only run module-level functions."""
    return Constrainer(dialect).constraint(policy, thinking_open=thinking_open)


def is_small(policy: AnswerPolicy) -> bool:
    """Whether the schemas of the answer are little work to make a constraint of."""
    nodes = ways = 0.0
    schemas = [*(tool.schema for tool in policy.tools), *([policy.output] if policy.output else [])]
    for schema in schemas:
        size = measured(schema)
        nodes, ways = nodes + size.nodes, ways + size.ways
        if (
            max(nodes, ways / (_FEW_WAYS / _FEW_NODES)) > _FEW_NODES
            or max(size.depth, size.unfolded) > _SHALLOW
            or max(size.alternatives, size.conjunctions) > _FEW_BRANCHES
        ):
            return False
    return True
