"""Special tokens are found with the tokenizer, in few calls."""

from asyncio import sleep
from collections.abc import Sequence

import pytest

from dragoman import special_tokens as special_tokens_module
from dragoman.special_tokens import SpecialTokens
from prompt.word_tokenizer import WordTokenizer

CONTROL = ["<|im_end|>", "<|endoftext|>", "[INST]", "EOT"]


async def test_exactly_the_special_tokens_of_a_text_are_found() -> None:
    special_tokens = SpecialTokens(WordTokenizer(CONTROL))
    assert await special_tokens.among("a <b> <|endoftext|> [INST] <|nope|> </div> <|im_end|>") == [
        "<|endoftext|>",
        "<|im_end|>",
        "[INST]",
    ]
    assert await special_tokens.among("nothing here") == []


async def test_a_name_of_any_shape_is_a_candidate() -> None:
    tokenizer = WordTokenizer(CONTROL)
    assert await SpecialTokens(tokenizer).among("the EOT") == []
    assert await SpecialTokens(tokenizer, ["EOT", ""]).among("the EOT") == ["EOT"]


async def test_a_text_without_special_tokens_is_checked_once() -> None:
    tokenizer = WordTokenizer(CONTROL)
    special_tokens = SpecialTokens(tokenizer)
    text = "<html><body><p>" * 3
    assert await special_tokens.among(text) == []
    assert len(tokenizer.calls) == 2
    assert await special_tokens.among(text) == []
    assert len(tokenizer.calls) == 2


async def test_a_special_token_inside_a_candidate_is_found() -> None:
    assert "[INST]" in await SpecialTokens(WordTokenizer(CONTROL)).among("<[INST]> <x[INST]>")


class CountingTokenizer(WordTokenizer):
    """`open` is the number of calls in progress, `most` its maximum."""

    def __init__(self, control: Sequence[str]) -> None:
        super().__init__(control)
        self.open = self.most = 0

    async def __call__(self, text: str, *, special: bool = True) -> list[int]:
        self.open += 1
        self.most = max(self.most, self.open)
        await sleep(0)
        self.open -= 1
        return await super().__call__(text, special=special)


@pytest.mark.parametrize("spelled", [CONTROL[:1], CONTROL[:3]], ids=len)
async def test_a_few_among_very_many_candidates_are_found_by_halving(spelled: list[str]) -> None:
    tokenizer = CountingTokenizer(CONTROL)
    made_up = [f"<made-up-{number}>" for number in range(30_000)]
    made_up[7_000:7_000] = spelled

    assert await SpecialTokens(tokenizer).among(" ".join(made_up)) == sorted(spelled)
    assert len(tokenizer.calls) < 200
    assert max(len(text) for text, _ in tokenizer.calls) <= 64 * 1024
    assert sum(len(text) for text, _ in tokenizer.calls) < 5 * len(" ".join(made_up))
    assert tokenizer.most <= 8


async def test_all_of_many_special_tokens_are_found() -> None:
    control = [f"<|extra_{number}|>" for number in range(300)]
    assert await SpecialTokens(WordTokenizer(control)).among("".join(control) + "<|extra_300|>") == sorted(control)


@pytest.mark.parametrize("size", range(1, 40))
async def test_a_candidate_is_found_across_slices(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(special_tokens_module, "_SLICE", size)
    text = "a <b> <|endoftext|> x [INST] EOT <|im_end|>"
    found = await SpecialTokens(WordTokenizer(CONTROL), ["EOT"]).among(text)
    assert found == sorted(CONTROL)


async def test_special_tokens_are_remembered_beyond_the_limit_of_candidates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(special_tokens_module, "_MOST_REMEMBERED", 100)
    tokenizer = WordTokenizer(CONTROL)
    special_tokens = SpecialTokens(tokenizer)
    made_up = "".join(f"<made-up-{number}>" for number in range(20_000))
    assert await special_tokens.among("<|im_end|>" + made_up + "[INST]") == ["<|im_end|>", "[INST]"]
    tokenizer.calls.clear()
    assert await special_tokens.among("<|im_end|> [INST]") == ["<|im_end|>", "[INST]"]
    assert tokenizer.calls == []
