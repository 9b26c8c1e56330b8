"""Tokenizing by segments: the ids are those of the whole text, and each segment is tokenized once."""

import asyncio
import re
from array import array

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dragoman.prompt import segments as segments_module
from dragoman.prompt import tokens as tokens_module
from dragoman.prompt.tokens import Encoded, TokenCache
from dragoman.special_tokens import SpecialTokens

from .word_tokenizer import WordTokenizer

SPECIAL = ["<|im_start|>", "<|im_end|>", "<s>", "[INST]"]
SAMPLE = "<|im_start|>user\nHello, world! 1 234\n\n  x<|im_end|>\n<|im_start|>assistant\n Hi.\n<|im_end|>\n"
SENTINEL = "\ufdd0"
BEFORE_SPECIAL_TOKEN = re.compile(f"(?={'|'.join(map(re.escape, SPECIAL))})")
UNSPLITTABLE = re.compile(r"(?:(?!(?<=\w)\s)[^<]){12}")
"""Half a batch without a place between words, where a large segment is split inside a word and its ids may differ."""


def cached(tokenizer: WordTokenizer) -> TokenCache:
    return TokenCache(tokenizer, SpecialTokens(tokenizer), SPECIAL)


@pytest.mark.clause("CNT-2")
async def test_the_borders_are_the_special_tokens_of_the_engine() -> None:
    tokenizer = WordTokenizer(SPECIAL)
    sample = SAMPLE + "<b> <not|one> [NOPE] [INST]<s>"
    cache = await TokenCache.probe(tokenizer, SpecialTokens(tokenizer), sample)
    assert sorted(cache.borders) == sorted(SPECIAL)


async def test_a_tokenizer_that_treats_the_start_of_a_text_differently_gets_whole_prompts() -> None:
    tokenizer = WordTokenizer(SPECIAL, begins=True)
    cache = await TokenCache.probe(tokenizer, SpecialTokens(tokenizer), SAMPLE)
    assert cache.borders == ()
    tokenizer.calls.clear()
    assert await cache.encode(SAMPLE) == await tokenizer(SAMPLE)
    assert tokenizer.calls == [(SAMPLE, True)] * 2


@pytest.mark.clause("CNT-2", "USE-1")
@settings(deadline=None)
@given(
    st.lists(st.sampled_from([*SPECIAL, "a", " b", "\n", "  ", "<", "<|im_", "start|>", "🦊", "x\u0301"]) | st.text(max_size=3))
)
async def test_the_ids_are_those_of_the_whole_text(pieces: list[str]) -> None:
    tokenizer = WordTokenizer(SPECIAL)
    cache = cached(tokenizer)
    text = "".join(pieces)
    whole = await tokenizer(text)
    assert await cache.encode(text) == whole
    assert await cache.encode(text) == whole


async def test_tokenized_segments_are_cached() -> None:
    tokenizer = WordTokenizer(SPECIAL)
    cache = await TokenCache.probe(tokenizer, SpecialTokens(tokenizer), SAMPLE)
    tokenizer.calls.clear()
    first = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    await cache.encode(first)
    assert tokenizer.calls == [("<|im_start|>user\nHi<|im_start|>assistant\n", True)]  # the probe cached the rest

    tokenizer.calls.clear()
    await cache.encode(first)
    assert tokenizer.calls == []

    await cache.encode(first + "Hello<|im_end|>\n<|im_start|>user\nSo?<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.calls == [("<|im_start|>assistant\nHello<|im_start|>user\nSo?", True)]


async def test_the_cache_is_bounded_and_evicts_the_least_recently_used_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "_REMEMBERED", 36)
    tokenizer = WordTokenizer(SPECIAL)
    cache = cached(tokenizer)
    for text in ("<s>a b", "<s>c d", "<s>a b", "<s>e f"):  # 18 bytes each; the second is the least recently used
        await cache.encode(text)
    tokenizer.calls.clear()
    for text in ("<s>a b", "<s>e f", "<s>c d"):
        assert await cache.encode(text) == await WordTokenizer.__call__(tokenizer, text)
    assert tokenizer.calls.count(("<s>a b", True)) == 1
    assert tokenizer.calls.count(("<s>e f", True)) == 1
    assert tokenizer.calls.count(("<s>c d", True)) == 2


async def test_a_prompt_larger_than_the_cache_is_tokenized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "_REMEMBERED", 10)
    tokenizer = WordTokenizer(SPECIAL)
    text = "<s>a b<s>c d<s>a b<s>"
    assert await cached(tokenizer).encode(text) == await tokenizer(text)


async def test_an_escaped_spelling_is_tokenized_as_text() -> None:
    tokenizer = WordTokenizer(SPECIAL)
    cache = cached(tokenizer)
    ids = await cache.encode(f"<|im_start|>user\n<{SENTINEL}|im_end|>x<|im_end|>", SENTINEL)
    assert tokenizer.spell(ids) == [
        "special <|im_start|>",
        *("user", "\n", "<", "|", "im_end", "|", ">", "x"),
        "special <|im_end|>",
    ]


@pytest.mark.parametrize("escaped_first", [True, False])
async def test_an_escaped_segment_is_not_confused_with_a_clients_own_noncharacter(*, escaped_first: bool) -> None:
    text = f"<|im_start|>user\n<{SENTINEL}|im_end|>x"
    cache = cached(WordTokenizer(SPECIAL))
    sentinels = [SENTINEL, ""] if escaped_first else ["", SENTINEL]

    alone = {sentinel: await cached(WordTokenizer(SPECIAL)).encode(text, sentinel) for sentinel in sentinels}
    together = {sentinel: await cache.encode(text, sentinel) for sentinel in sentinels}

    assert {sentinel: len(ids) for sentinel, ids in together.items()} == {sentinel: len(ids) for sentinel, ids in alone.items()}


async def test_text_before_the_first_special_token_is_tokenized_too() -> None:
    tokenizer = WordTokenizer(SPECIAL)
    assert tokenizer.spell(await cached(tokenizer).encode(f"a <{SENTINEL}s> b<s>", SENTINEL)) == [
        *("a", " ", "<", "s", ">", " b"),
        "special <s>",
    ]


@pytest.mark.parametrize("text", ["", "no special token"])
async def test_a_text_without_special_tokens_is_one_segment(text: str) -> None:
    tokenizer = WordTokenizer(SPECIAL)
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
@given(st.lists(st.sampled_from([*SPECIAL, "a", " b", "\n", "<", "<|im_", "start|>", " word" * 12]), max_size=30))
async def test_a_text_in_many_batches_has_the_ids_of_the_whole_text(pieces: list[str]) -> None:
    tokenizer = WordTokenizer(SPECIAL)
    cache = cached(tokenizer)
    text = "".join(pieces)
    assume(not any(len(segment) > 40 and UNSPLITTABLE.search(segment, 12) for segment in BEFORE_SPECIAL_TOKEN.split(text)))
    whole = await tokenizer(text)
    tokenizer.calls.clear()
    assert await cache.encode(text) == whole
    assert all(len(asked) <= 40 for asked, _ in tokenizer.calls)
    assert await cache.encode_up_to(text, most=len(whole)) == Encoded(array("I", whole), len(whole))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("sentinel", [SENTINEL, "\ufdd1\ufdd2\ufdd3\ufdd4"])
@pytest.mark.parametrize("before", range(30))
async def test_a_large_segment_is_never_split_inside_a_sentinel(sentinel: str, before: int) -> None:
    tokenizer = WordTokenizer(SPECIAL)
    text = "<s>" + "x" * before + f"<{sentinel}|im_end|>" * 8
    ids = await cached(tokenizer).encode(text, sentinel)
    assert "".join(tokenizer.spell(ids)) == "special <s>" + "x" * before + "<|im_end|>" * 8


@pytest.mark.parametrize("sign", ["\n", " ", ""])
async def test_a_segment_of_megabytes_goes_to_the_tokenizer_in_pieces(sign: str) -> None:
    tokenizer = WordTokenizer(SPECIAL)
    text = "<s>" + f"{sign}word" * 300_000
    ids = await cached(tokenizer).encode(text)
    assert all(len(asked) <= 256 * 1024 for asked, _ in tokenizer.calls)
    if sign:
        assert ids == await tokenizer(text)


@pytest.mark.parametrize("text", ["word " * 400_000, "<s>word " * 250_000, "<s>" + "word " * 400_000], ids=[*"abc"])
async def test_the_rest_after_the_requested_number_of_tokens_is_estimated(text: str) -> None:
    tokenizer = WordTokenizer(SPECIAL)
    whole = await tokenizer(text)
    tokenizer.calls.clear()

    encoded = await cached(tokenizer).encode_up_to(text, most=1_000)

    assert encoded.length == pytest.approx(len(whole), rel=0.01)
    assert list(encoded.tokens) == whole[: len(encoded.tokens)]
    assert sum(len(asked) for asked, _ in tokenizer.calls) < 600_000


async def test_a_short_rest_is_counted_exactly() -> None:
    tokenizer = WordTokenizer(SPECIAL)
    text = "<s>" + "word " * 100_000
    assert (await cached(tokenizer).encode_up_to(text, most=10)).length == len(await tokenizer(text))


@pytest.mark.parametrize("text", ["word " * 600_000, "<s>w" * 200_000, "<" * 2_000_000], ids=["words", "segments", "signs"])
async def test_other_tasks_run_while_a_large_text_is_tokenized(text: str) -> None:
    class Free(WordTokenizer):
        """Takes no time, so that only the work of the cache is measured."""

        async def __call__(self, text: str, *, special: bool = True) -> list[int]:
            return []

    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    await cached(Free(SPECIAL)).encode(text)
    other.cancel()
    assert turns >= len(text) / 256 / 1024


async def test_few_calls_run_at_the_same_time() -> None:
    class Counting(WordTokenizer):
        open = most = 0

        async def __call__(self, text: str, *, special: bool = True) -> list[int]:
            self.open += 1
            self.most = max(self.most, self.open)
            await asyncio.sleep(0)
            self.open -= 1
            return await super().__call__(text, special=special)

    tokenizer = Counting(SPECIAL)
    await cached(tokenizer).encode("".join(f"<s>{number}<{SENTINEL}|im_end|>" for number in range(500)), SENTINEL)
    assert tokenizer.most <= 32


async def test_the_number_of_cached_segments_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "_REMEMBERED_SEGMENTS", 10)
    tokenizer = WordTokenizer(SPECIAL)
    cache = cached(tokenizer)
    await cache.encode("".join(f"<s>{number}" for number in range(20)))
    tokenizer.calls.clear()
    await cache.encode("<s>9<s>10")
    assert tokenizer.calls == [("<s>9", True)]
