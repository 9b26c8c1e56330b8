"""Answers that a constraint restricts only from a text on, with the real llama.cpp and the default model.

The opening texts are parts of what the model writes without a constraint, so that the first part of each answer is known.
"""

from collections.abc import Sequence
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from dragoman.constraints.tree import Constraint, Literal, Opening, Text
from dragoman.engines import FinishReason
from dragoman.engines.llama.embedded import EmbeddedLlama
from engines.conftest import collect, make_request, output, reason, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROMPT = "<|im_start|>user\nWrite a long story about a lighthouse and a storm.<|im_end|>\n<|im_start|>assistant\n"
LIMIT = 60


def constraint(text: str, barred: Sequence[str] = (), **reasoning: Any) -> Constraint:
    """A constraint with that opening, after which the model has to write CALL, or OTHER in place of a barred text."""
    key = repr((text, barred, reasoning))
    after, instead = Constraint(Literal("CALL"), f"{key}-after"), Constraint(Literal("OTHER"), f"{key}-instead")
    return Constraint(Text(), key, opening=Opening(text, barred, after, instead, **reasoning))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def free(engine: EmbeddedLlama) -> str:
    """What the model writes without a constraint."""
    return text(await collect(engine, make_request(await engine.tokenize(PROMPT), LIMIT)))


async def written(engine: EmbeddedLlama, enforced: Constraint, limit: int = LIMIT) -> tuple[str, FinishReason]:
    """The answer under a constraint, and how it ends. Its tokens are counted once, and its progress is that of the prompt."""
    tokens = await engine.tokenize(PROMPT)
    await engine.prepare(enforced)
    chunks = await collect(engine, replace(make_request(tokens, limit), constraint=enforced))
    assert output(chunks) <= limit
    assert {chunk.prefill.total for chunk in chunks if chunk.prefill is not None} == {len(tokens)}
    first = next(index for index, chunk in enumerate(chunks) if chunk.output)
    assert all(chunk.prefill is None for chunk in chunks[first:])
    return text(chunks), reason(chunks)


@pytest.mark.slow
async def test_an_answer_without_the_opening_is_free(engine: EmbeddedLlama, free: str) -> None:
    assert await written(engine, constraint("<call>", ["<calls>"])) == (free, FinishReason.LENGTH)


@pytest.mark.parametrize(
    ("start", "length"), [(43, 12), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((40, 1), (40, 7), (41, 5)))]
)
async def test_the_constraint_applies_after_its_opening(engine: EmbeddedLlama, free: str, start: int, length: int) -> None:
    """The opening begins and ends anywhere in a token."""
    opening = free[start : start + length]
    expected = free[: free.index(opening)] + opening + "CALL"
    assert await written(engine, constraint(opening)) == (expected, FinishReason.STOP)


@pytest.mark.parametrize("start", [43, pytest.param(40, marks=pytest.mark.slow)])
async def test_a_barred_text_is_left_out(engine: EmbeddedLlama, free: str, start: int) -> None:
    barred = free[start : start + 7]
    expected = free[: free.index(barred)] + "OTHER"
    assert await written(engine, constraint("<call>", [barred])) == (expected, FinishReason.STOP)


async def test_a_limit_at_the_opening_ends_the_answer(engine: EmbeddedLlama) -> None:
    whole = text(await collect(engine, make_request(await engine.tokenize(PROMPT), 20)))
    assert await written(engine, constraint(whole[-12:]), limit=20) == (whole, FinishReason.LENGTH)


@pytest.mark.slow
async def test_inside_of_reasoning_an_opening_is_text(engine: EmbeddedLlama, free: str) -> None:
    opening, closer = " lighthouse", " engineering"
    inside = constraint(opening, thinking_opens=["sleepy"], thinking_closes=["</think>"])
    found, ended = await written(engine, inside)
    assert found.startswith(free[: free.index(opening) + len(opening)])
    assert (found.count(opening) > 1, "CALL" in found, ended) == (True, False, FinishReason.LENGTH)
    until_closed = constraint(", with", [opening], thinking_opens=["<think>"], thinking_closes=[closer], thinking_open=True)
    assert await written(engine, until_closed) == (free[: free.index(", with")] + ", withCALL", FinishReason.STOP)


async def test_what_was_written_is_not_computed_again(engine: EmbeddedLlama, free: str) -> None:
    before = sum(slot.n_prompt_tokens_processed for slot in await engine.slots())
    await written(engine, constraint(free[80:86]))
    assert sum(slot.n_prompt_tokens_processed for slot in await engine.slots()) - before < 5
