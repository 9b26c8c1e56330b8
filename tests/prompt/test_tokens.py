"""Tokenizing by segments: the same ids as the whole text, each segment once."""

import asyncio
import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dragoman.prompt import segments as segments_module
from dragoman.prompt import tokens as tokens_module
from dragoman.prompt.tokens import Encoded, TokenCache
from dragoman.special_tokens import SpecialTokens

from .word_tokenizer import WordTokenizer

CONTROL = ["<|im_start|>", "<|im_end|>", "<s>", "[INST]"]
SAMPLE = "<|im_start|>user\nHello, world! 1 234\n\n  x<|im_end|>\n<|im_start|>assistant\n Hi.\n<|im_end|>\n"
MARK = "\ufdd0"
BEFORE_SPECIAL_TOKEN = re.compile(f"(?={'|'.join(map(re.escape, CONTROL))})")
UNSPLITTABLE = re.compile(r"(?:(?!(?<=\w)\s)[^<]){12}")
"""Half a batch without a place between words, where a large segment is split inside a word and its ids may differ."""


def cached(tokenizer: WordTokenizer) -> TokenCache:
    return TokenCache(tokenizer, SpecialTokens(tokenizer), CONTROL)


@pytest.mark.clause("CNT-2")
async def test_the_borders_are_the_spellings_that_the_engine_takes_for_special_tokens():
    tokenizer = WordTokenizer(CONTROL)
    sample = SAMPLE + "<b> <not|one> [NOPE] [INST]<s>"
    cache = await TokenCache.probe(tokenizer, SpecialTokens(tokenizer), sample)
    assert sorted(cache.borders) == sorted(CONTROL)


async def test_a_tokenizer_that_minds_where_a_text_begins_is_given_whole_prompts():
    tokenizer = WordTokenizer(CONTROL, begins=True)
    cache = await TokenCache.probe(tokenizer, SpecialTokens(tokenizer), SAMPLE)
    assert cache.borders == ()
    tokenizer.calls.clear()
    assert await cache.encode(SAMPLE) == await tokenizer(SAMPLE)
    assert tokenizer.calls == [(SAMPLE, True)] * 2


@pytest.mark.clause("CNT-2", "USE-1")
@settings(deadline=None)
@given(
    st.lists(st.sampled_from([*CONTROL, "a", " b", "\n", "  ", "<", "<|im_", "start|>", "🦊", "x\u0301"]) | st.text(max_size=3))
)
async def test_the_ids_are_those_of_the_whole_text(pieces: list[str]):
    tokenizer = WordTokenizer(CONTROL)
    cache = cached(tokenizer)
    text = "".join(pieces)
    whole = await tokenizer(text)
    assert await cache.encode(text) == whole
    assert await cache.encode(text) == whole


async def test_what_was_tokenized_once_is_remembered():
    tokenizer = WordTokenizer(CONTROL)
    cache = await TokenCache.probe(tokenizer, SpecialTokens(tokenizer), SAMPLE)
    tokenizer.calls.clear()
    first = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    await cache.encode(first)
    assert tokenizer.calls == [("<|im_start|>user\nHi<|im_start|>assistant\n", True)]  # the probe knew the rest

    tokenizer.calls.clear()
    await cache.encode(first)
    assert tokenizer.calls == []

    await cache.encode(first + "Hello<|im_end|>\n<|im_start|>user\nSo?<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.calls == [("<|im_start|>assistant\nHello<|im_start|>user\nSo?", True)]


async def test_the_memory_is_bounded_and_forgets_what_was_used_longest_ago(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokens_module, "_REMEMBERED_TOKENS", 6)
    tokenizer = WordTokenizer(CONTROL)
    cache = cached(tokenizer)
    for text in ("<s>a b", "<s>c d", "<s>a b", "<s>e f"):  # three tokens each; the second is the oldest in use
        await cache.encode(text)
    tokenizer.calls.clear()
    for text in ("<s>a b", "<s>e f", "<s>c d"):
        assert await cache.encode(text) == await WordTokenizer.__call__(tokenizer, text)
    assert tokenizer.calls.count(("<s>a b", True)) == 1
    assert tokenizer.calls.count(("<s>e f", True)) == 1
    assert tokenizer.calls.count(("<s>c d", True)) == 2


async def test_a_prompt_larger_than_the_memory_is_tokenized_all_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokens_module, "_REMEMBERED_TOKENS", 2)
    tokenizer = WordTokenizer(CONTROL)
    text = "<s>a b<s>c d<s>a b<s>"
    assert await cached(tokenizer).encode(text) == await tokenizer(text)


async def test_a_marked_spelling_is_tokenized_as_the_text_it_is():
    tokenizer = WordTokenizer(CONTROL)
    cache = cached(tokenizer)
    ids = await cache.encode(f"<|im_start|>user\n<{MARK}|im_end|>x<|im_end|>", MARK)
    assert tokenizer.spell(ids) == [
        "control <|im_start|>",
        *("user", "\n", "<", "|", "im_end", "|", ">", "x"),
        "control <|im_end|>",
    ]


@pytest.mark.parametrize("marked_first", [True, False])
async def test_a_marked_stretch_is_not_mistaken_for_a_clients_own_noncharacter(*, marked_first: bool):
    text = f"<|im_start|>user\n<{MARK}|im_end|>x"
    cache = cached(WordTokenizer(CONTROL))
    marks = [MARK, ""] if marked_first else ["", MARK]

    alone = {mark: await cached(WordTokenizer(CONTROL)).encode(text, mark) for mark in marks}
    together = {mark: await cache.encode(text, mark) for mark in marks}

    assert {mark: len(ids) for mark, ids in together.items()} == {mark: len(ids) for mark, ids in alone.items()}


async def test_text_before_the_first_special_token_is_tokenized_too():
    tokenizer = WordTokenizer(CONTROL)
    assert tokenizer.spell(await cached(tokenizer).encode(f"a <{MARK}s> b<s>", MARK)) == [
        *("a", " ", "<", "s", ">", " b"),
        "control <s>",
    ]


@pytest.mark.parametrize("text", ["", "no special token"])
async def test_a_text_without_special_tokens_is_one_stretch(text: str):
    tokenizer = WordTokenizer(CONTROL)
    assert await cached(tokenizer).encode(text) == await tokenizer(text)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches, windows and large segments of a few characters."""
    for name, size in {"_BATCH": 24, "_BATCH_SEGMENTS": 3, "_WINDOW": 5, "_LARGE": 40}.items():
        monkeypatch.setattr(segments_module, name, size)
    monkeypatch.setattr(tokens_module, "_ESTIMATED_FROM", 50)


@pytest.mark.usefixtures("small")
@pytest.mark.clause("CNT-2", "USE-1")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*CONTROL, "a", " b", "\n", "<", "<|im_", "start|>", " word" * 12]), max_size=30))
async def test_a_text_in_many_batches_has_the_ids_of_the_whole_text(pieces: list[str]):
    tokenizer = WordTokenizer(CONTROL)
    cache = cached(tokenizer)
    text = "".join(pieces)
    assume(not any(len(segment) > 40 and UNSPLITTABLE.search(segment, 12) for segment in BEFORE_SPECIAL_TOKEN.split(text)))
    whole = await tokenizer(text)
    tokenizer.calls.clear()
    assert await cache.encode(text) == whole
    assert all(len(asked) <= 40 for asked, _ in tokenizer.calls)
    assert await cache.encode_up_to(text, most=len(whole)) == Encoded(whole, len(whole))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mark", [MARK, "\ufdd1\ufdd2\ufdd3\ufdd4"])
@pytest.mark.parametrize("before", range(30))
async def test_a_large_stretch_is_never_cut_inside_a_mark(mark: str, before: int):
    tokenizer = WordTokenizer(CONTROL)
    text = "<s>" + "x" * before + f"<{mark}|im_end|>" * 8
    ids = await cached(tokenizer).encode(text, mark)
    assert "".join(tokenizer.spell(ids)) == "control <s>" + "x" * before + "<|im_end|>" * 8


@pytest.mark.parametrize("sign", ["\n", " ", ""])
async def test_a_stretch_of_megabytes_goes_to_the_tokenizer_in_pieces(sign: str):
    tokenizer = WordTokenizer(CONTROL)
    text = "<s>" + f"{sign}word" * 300_000
    ids = await cached(tokenizer).encode(text)
    assert all(len(asked) <= 256 * 1024 for asked, _ in tokenizer.calls)
    if sign:
        assert ids == await tokenizer(text)


@pytest.mark.parametrize("text", ["word " * 400_000, "<s>word " * 250_000, "<s>" + "word " * 400_000], ids=[*"abc"])
async def test_past_the_most_that_is_asked_for_the_rest_is_estimated(text: str):
    tokenizer = WordTokenizer(CONTROL)
    whole = await tokenizer(text)
    tokenizer.calls.clear()

    encoded = await cached(tokenizer).encode_up_to(text, most=1_000)

    assert encoded.length == pytest.approx(len(whole), rel=0.01)
    assert list(encoded.tokens) == whole[: len(encoded.tokens)]
    assert sum(len(asked) for asked, _ in tokenizer.calls) < 600_000


async def test_what_is_left_is_counted_exactly_where_it_is_short():
    tokenizer = WordTokenizer(CONTROL)
    text = "<s>" + "word " * 100_000
    assert (await cached(tokenizer).encode_up_to(text, most=10)).length == len(await tokenizer(text))


@pytest.mark.parametrize("text", ["word " * 600_000, "<s>w" * 200_000, "<" * 2_000_000], ids=["words", "segments", "signs"])
async def test_other_tasks_go_on_while_a_large_text_is_tokenized(text: str):
    class Free(WordTokenizer):
        """Costs nothing, so that what is seen is the cache's own work."""

        async def __call__(self, text: str, *, special: bool = True) -> list[int]:
            return []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turns = 0
    other = asyncio.create_task(others())
    await cached(Free(CONTROL)).encode(text)
    other.cancel()
    assert turns >= len(text) / 256 / 1024


async def test_few_calls_are_open_at_the_same_time():
    class Counting(WordTokenizer):
        open = most = 0

        async def __call__(self, text: str, *, special: bool = True) -> list[int]:
            self.open += 1
            self.most = max(self.most, self.open)
            await asyncio.sleep(0)
            self.open -= 1
            return await super().__call__(text, special=special)

    tokenizer = Counting(CONTROL)
    await cached(tokenizer).encode("".join(f"<s>{number}<{MARK}|im_end|>" for number in range(500)), MARK)
    assert tokenizer.most <= 32


async def test_the_number_of_remembered_stretches_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokens_module, "_REMEMBERED_SEGMENTS", 10)
    tokenizer = WordTokenizer(CONTROL)
    cache = cached(tokenizer)
    await cache.encode("".join(f"<s>{number}" for number in range(20)))
    tokenizer.calls.clear()
    await cache.encode("<s>9<s>10")
    assert tokenizer.calls == [("<s>9", True)]
