"""The inputs of `python -m bench limits`, and one of its measurements."""

import pytest

from bench.hostile import KINDS
from bench.limits import Effect, effect_of, together

MEBIBYTE = 1 << 20


@pytest.mark.slow
def test_every_hostile_body_is_below_the_size_limit() -> None:
    sizes = {name: len(kind.body()) for name, kind in KINDS.items()}
    assert {name: size for name, size in sizes.items() if not 0 < size < 32 * MEBIBYTE} == {}


@pytest.mark.parametrize(
    ("name", "status"), [("schema: objects 250 deep", 400), pytest.param("9,500 stop sequences", 200, marks=pytest.mark.slow)]
)
def test_a_small_hostile_body_is_answered_and_the_server_stays_alive(name: str, status: int) -> None:
    effect = effect_of(KINDS[name], KINDS[name].body())
    assert (effect.status, effect.failed, effect.alive) == (status, 0, True)


def test_runs_count_with_their_median_wait_and_their_worst_answer() -> None:
    good = Effect(answer=0.1, status=200, wait=0.02, failed=0, growth=1.0, alive=True)
    slow = Effect(answer=11.0, status=None, wait=0.5, failed=1, growth=2.0, alive=True)

    assert together([good, slow, good]) == Effect(answer=11.0, status=None, wait=0.02, failed=1, growth=2.0, alive=True)
