"""GBNF allows the same texts as llguidance's grammars, for every dialect and kind of request; the differences are listed."""

import pytest

from constraints.gbnf_reader import allows
from dialects.test_constraint import matcher
from dragoman.constraints.gbnf import gbnf
from dragoman.engines import EngineRequest
from dragoman.engines.llama.embedded import EmbeddedLlama
from engines.conftest import GREEDY, collect, output
from engines.llama_program.programs import chosen, half_precision_model
from engines.vllm_real.test_structural_tags import MORE, accepts, cases

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1200)]

TOO_LARGE = "300"
"""A number above its bound, which GBNF does not enforce."""


async def test_llama_cpp_reads_every_grammar() -> None:
    engine = EmbeddedLlama(half_precision_model(), context=2048, parallel=1, program=chosen())
    assert (await engine.start()).constrains
    for case in cases():
        assert output(await collect(engine, EngineRequest([1], 1, GREEDY, case.held))) <= 1, case
    await engine.close()


def test_gbnf_allows_what_llguidance_accepts() -> None:
    differ = []
    for case in cases():
        grammar, reference = gbnf(case.held), matcher(case.held)
        for text in case.texts:
            allowed, accepted = allows(grammar, text), accepts(reference.deep_copy(), text)
            if allowed != accepted and not (allowed and (text.endswith(MORE) or TOO_LARGE in text)):
                differ.append((case.dialect, case.kind, text, allowed))
    assert differ == []
