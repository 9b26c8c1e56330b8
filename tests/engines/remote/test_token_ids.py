"""Token ids and log-probabilities: with every engine, fake and real, and those of real servers over scripted engines."""

import pytest
from msgspec.structs import replace

from engines.conftest import collect, text
from engines.remote.conftest import Connected
from engines.remote.engine_cases import REAL_CASES
from engines.remote.test_engine_contract import make_request

WORDS = [b"The", b" quick", b" and", b" wet"]
SPELLED = "The quick and wet"
ENDING = "<|im_end|>"


async def test_the_ids_of_an_output_spell_its_text(connected: Connected) -> None:
    connected.upstream.says(*WORDS)
    chunks = await collect(connected.engine, replace(await make_request(connected), ids=True))
    ids = [token for chunk in chunks for token in chunk.ids]
    assert text(chunks) == SPELLED
    assert (await connected.engine.detokenize(ids)).removesuffix(ENDING) == SPELLED


async def test_the_ids_of_special_tokens_come_unasked(connected: Connected) -> None:
    [call] = await connected.engine.tokenize("<tool_call>")
    connected.upstream.says(b"The", b"<tool_call>")
    request = replace(await make_request(connected), special_tokens=("<tool_call>",))
    ids = [token for chunk in await collect(connected.engine, request) for token in chunk.ids]
    assert (call in ids) == connected.found.marker_ids


real = pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow, pytest.mark.timeout(300)]) for case in REAL_CASES], indirect=True,
    scope="module", ids=lambda case: case.name,
)  # fmt: skip


@real
async def test_each_token_of_a_real_server_has_its_log_probability(connected: Connected) -> None:
    assert connected.found.logprobs
    connected.upstream.says(*WORDS)
    chunks = await collect(connected.engine, replace(await make_request(connected), ids=True, top=2))
    found = [(token, logprob) for chunk in chunks for token, logprob in zip(chunk.ids, chunk.logprobs, strict=True)]
    assert [logprob.logprob for _, logprob in found] == [-(1 + token % 7) / 8 for token, _ in found]
    assert "".join(logprob.text for _, logprob in found).removesuffix(ENDING) == SPELLED
    assert all([likely.logprob for likely in logprob.top] == [logprob.logprob, -9.0] for _, logprob in found)
    assert all(logprob.top[0].text == logprob.text for _, logprob in found)


@real
async def test_a_real_server_scores_a_prompt_if_its_engine_can(connected: Connected) -> None:
    tokens = await connected.engine.tokenize("The fox is wet.")
    if not connected.found.prompt_logprobs:
        with pytest.raises(NotImplementedError):
            await connected.engine.score(tokens, 1)
        return
    found = await connected.engine.score(tokens, 1)
    assert [each.logprob for each in found] == [None, *[-(1 + token % 7) / 8 for token in tokens[1:]]]
    assert "".join(each.text for each in found) == "The fox is wet."
