"""The constraint of an answer: made at once where that is little work, else in a worker process."""

from dataclasses import replace
from typing import Final

from dragoman.constraints.tree import Constraint
from dragoman.conversation import Conversation
from dragoman.dialects import Constrainer, Dialect
from dragoman.errors import InvalidRequest
from dragoman.json_schema.size import measured
from dragoman.worker_pool import POOL, TooExpensive

_FEW_NODES: Final = 4_000
_FEW_WAYS: Final = 20_000
"""Objects and arrays of all schemas, as written and with references followed: some 20 ms of work."""
_FEW_BRANCHES: Final = 100
_SHALLOW: Final = 40


async def constrained(constrainer: Constrainer, conversation: Conversation, *, thinking_open: bool) -> Constraint | None:
    """What the answer is held to; None where anything goes. Raises `InvalidRequest` where that costs too much to make."""
    key = constrainer.key(conversation, thinking_open=thinking_open)
    if not constrainer.has(key):
        path = "tools" if conversation.callable else "output_config.format"
        try:
            if is_small(conversation):
                return constrainer.constraint(conversation, thinking_open=thinking_open)
            asked = replace(conversation, turns=(), system=())
            made = await POOL.run(make, constrainer.dialect, asked, thinking_open=thinking_open)
        except TooExpensive as error:
            raise InvalidRequest.at(path, f"enforcing these schemas {error}; make them smaller") from None
        except RecursionError:
            raise InvalidRequest.at(path, "these schemas are nested too deeply to be enforced") from None
        constrainer.store(key, made)
    return constrainer.cached(key)


def make(dialect: Dialect, conversation: Conversation, *, thinking_open: bool) -> Constraint | None:
    """`Constrainer.constraint` as a module-level function, which a worker process can run."""
    return Constrainer(dialect).constraint(conversation, thinking_open=thinking_open)


def is_small(conversation: Conversation) -> bool:
    """Whether the schemas that the answer is held to are little work."""
    nodes = ways = 0.0
    schemas = [*(tool.schema for tool in conversation.callable), *([conversation.output] if conversation.output else [])]
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
