"""Which saved prompt helps a request, and which ones a new one replaces."""

from array import array

from dragoman.engines.llama.saved_prompts import MOST_PROMPTS, SavedPrompt, SavedPrompts
from engines.conftest import long_prompt

MAIN = array("I", long_prompt(4000, seed=1))
AGENT = MAIN[:1500] + array("I", long_prompt(400, seed=2))
NEXT = MAIN + array("I", long_prompt(300, seed=3))
OTHER = array("I", long_prompt(1000, seed=4))


def matched(prompts: SavedPrompts, tokens: "array[int]") -> tuple[str, int] | None:
    found = prompts.match(tokens)
    return (found.prompt.name, found.length) if found else None


def test_the_longest_common_beginning_is_found() -> None:
    prompts = SavedPrompts([SavedPrompt("main", MAIN), SavedPrompt("agent", AGENT)])
    assert matched(prompts, NEXT) == ("main", 4000)
    assert matched(prompts, AGENT + OTHER) == ("agent", 1900)
    assert matched(prompts, MAIN[:1600]) == ("main", 1599)
    assert matched(prompts, OTHER) is None


def test_a_long_file_is_not_read_for_a_small_part_of_it() -> None:
    prompts = SavedPrompts([SavedPrompt("main", MAIN)])
    assert matched(prompts, MAIN[:900] + OTHER) is None
    assert matched(prompts, MAIN[:1100] + OTHER) == ("main", 1100)


def test_a_conversations_next_turn_replaces_it_and_no_other() -> None:
    prompts = SavedPrompts([SavedPrompt("main", MAIN), SavedPrompt("agent", AGENT)])
    assert [prompt.name for prompt in prompts.add(SavedPrompt("next", NEXT))] == ["main"]
    assert matched(prompts, NEXT + OTHER) == ("next", 4300)
    assert matched(prompts, AGENT + OTHER) == ("agent", 1900)


def test_of_too_many_prompts_those_go_that_were_not_used_for_longest() -> None:
    saved = [SavedPrompt(str(number), array("I", [number] * 600)) for number in range(MOST_PROMPTS)]
    prompts = SavedPrompts(saved)
    prompts.use(saved[0])
    assert [prompt.name for prompt in prompts.add(SavedPrompt("new", OTHER))] == ["1"]
    assert len(prompts) == MOST_PROMPTS


def test_prompts_whose_files_are_gone_are_forgotten() -> None:
    prompts = SavedPrompts([SavedPrompt("main", MAIN), SavedPrompt("agent", AGENT)])
    prompts.keep_only(["agent", "of another process"])
    prompts.discard(SavedPrompt("agent", AGENT))
    prompts.discard(SavedPrompt("agent", AGENT))
    assert len(prompts) == 0


def test_the_last_token_of_a_request_is_always_read() -> None:
    prompts = SavedPrompts([SavedPrompt("main", MAIN)])
    assert matched(prompts, MAIN) == ("main", 3999)
    assert matched(prompts, array("I", [5])) is None
    assert matched(prompts, array("I")) is None


def test_after_a_useless_restore_a_request_must_begin_with_more_of_what_is_saved() -> None:
    prompts = SavedPrompts([SavedPrompt("main", MAIN)])
    half = prompts.match(MAIN[:2000] + OTHER)
    assert half is not None
    prompts.record_use(half, 1500)
    assert prompts.match(MAIN[:2000] + OTHER) is not None, "it was of use"
    prompts.record_use(half, 0)
    assert prompts.match(MAIN[:2900] + OTHER) is None
    assert matched(prompts, MAIN[:3100] + OTHER) == ("main", 3100)


def test_saving_is_useless_only_if_not_even_the_end_can_be_continued() -> None:
    prompts = SavedPrompts([SavedPrompt("main", MAIN)])
    for tokens in (MAIN[:2000] + OTHER, MAIN, NEXT):
        match = prompts.match(tokens)
        assert match is not None
        assert not prompts.useless
        prompts.record_use(match, 0)
    assert prompts.useless
    assert prompts.match(NEXT) is None
