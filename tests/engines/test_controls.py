"""Which spellings are control tokens: asked of the tokenizer, once each."""

from dragoman.engines.controls import ControlTokens
from prompt.toy import ToyTokenizer

CONTROL = ["<|im_end|>", "<|endoftext|>", "[INST]", "EOT"]


async def test_what_a_text_spells_is_found_and_nothing_else():
    controls = ControlTokens(ToyTokenizer(CONTROL))
    assert await controls.among("a <b> <|endoftext|> [INST] <|nope|> </div> <|im_end|>") == [
        "<|endoftext|>",
        "<|im_end|>",
        "[INST]",
    ]
    assert await controls.among("nothing here") == []


async def test_a_name_is_a_candidate_whatever_it_looks_like():
    tokenizer = ToyTokenizer(CONTROL)
    assert await ControlTokens(tokenizer).among("the EOT") == []
    assert await ControlTokens(tokenizer, ["EOT", ""]).among("the EOT") == ["EOT"]


async def test_a_text_without_control_tokens_costs_one_question_and_none_the_second_time():
    tokenizer = ToyTokenizer(CONTROL)
    controls = ControlTokens(tokenizer)
    text = "<html><body><p>" * 3
    assert await controls.among(text) == []
    assert len(tokenizer.calls) == 2
    assert await controls.among(text) == []
    assert len(tokenizer.calls) == 2
