"""A constraint that costs too much or does not compile is refused, and ends at most a worker process."""

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dragoman.constraints.compiler import Grammars
from dragoman.constraints.cost import is_small, off_the_loop, on_small_stack
from dragoman.constraints.structural_tag import structural_tag
from dragoman.constraints.tree import Constraint, Json, Literal, Node, Ref, Series
from dragoman.errors import InvalidRequest
from dragoman.worker_pool import POOL


@pytest.fixture(autouse=True)
async def _workers() -> AsyncIterator[None]:
    yield
    await POOL.close()


async def _tokenize(text: str) -> list[int]:
    return [*text.encode()]


def _chain(links: int) -> Node:
    known: dict[str, Any] = {
        f"d{link}": {"type": "object", "properties": {"a": {"$ref": f"#/$defs/d{link + 1}"}}, "required": ["a"]}
        for link in range(links)
    }
    return Json({"$ref": "#/$defs/d0", "$defs": known | {f"d{links}": {"type": "string"}}})


@pytest.mark.parametrize("path", ["tools", "output_config.format"])
async def test_a_constraint_that_does_not_compile_is_refused_at_its_field(path: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"{path}: these schemas cannot be enforced"):
        await Grammars(_tokenize).of(Constraint(Ref("nowhere"), "key", path=path))


async def test_a_constraint_with_a_tag_that_is_too_large_is_refused() -> None:
    endless = Constraint(Ref("tree"), "key", {"tree": Series((Literal("("), Ref("tree")))})

    with pytest.raises(InvalidRequest, match="tools: these schemas cannot be enforced: it is too large"):
        await off_the_loop(endless, structural_tag, endless, {})


def _recursion() -> None:
    raise RecursionError


@pytest.mark.parametrize("node", [Literal("a"), _chain(200)], ids=["in a thread", "in a worker"])
async def test_work_that_is_nested_too_deeply_is_refused(node: Node) -> None:
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        await off_the_loop(Constraint(node, "key"), _recursion)


async def test_a_chain_that_overflows_the_stack_ends_a_worker_and_only_its_request() -> None:
    deep, shallow = Constraint(_chain(1_000), "deep"), Constraint(_chain(3), "shallow")

    assert not is_small(deep)
    with pytest.raises(InvalidRequest, match=r"tools: .* crashed its worker process"):
        await Grammars(_tokenize).of(deep)
    assert await Grammars(_tokenize).of(shallow)


def test_only_shallow_constraints_are_compiled_in_this_process() -> None:
    assert is_small(Constraint(_chain(10), "key"))
    assert not is_small(Constraint(_chain(50), "key"))


def test_the_stack_size_is_restored() -> None:
    before = threading.stack_size()

    assert on_small_stack(threading.stack_size) == 2 << 20
    assert threading.stack_size() == before
