"""Prompts: their text, their token ids, and the tokens left in the window."""

import json
from dataclasses import replace
from typing import Any

import pytest

from api.bodies import assistant as assistant_message
from api.bodies import body, call, read, result
from api.bodies import user as user_message
from api.mutated_bodies import mutated
from dragoman import dialects
from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import CountTokensRequest, MessagesRequest
from dragoman.conversation import Conversation, ThinkingPolicy
from dragoman.errors import InvalidRequest
from dragoman.inspection.profile import inspect
from dragoman.prompt import ChatTemplate, Prompt, PromptBuilder, TemplateRefusal

from . import templates
from .conversations import LOOP, READ, assistant, changed, conversation_of, user
from .word_tokenizer import WordTokenizer

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]


async def builder(
    source: str = templates.CHATML, *, window: int = 1000, tokenizer: WordTokenizer | None = None
) -> PromptBuilder:
    template = ChatTemplate(source, bos_token="<|endoftext|>", eos_token="<|im_end|>")
    return await PromptBuilder.load(inspect(template, dialects.get("qwen3")), tokenizer or WordTokenizer(SPECIAL), window)


@pytest.mark.clause("USE-1", "CNT-2")
async def test_a_prompt_has_its_text_its_ids_and_the_remaining_tokens() -> None:
    tokenizer = WordTokenizer(SPECIAL)
    prompt = await (await builder(tokenizer=tokenizer)).build(conversation_of(user("Hi")))
    text = "<|im_start|>system\nYou are a small model.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    tokens = await tokenizer(text)
    assert replace(prompt, tokens=list(prompt.tokens)) == Prompt(
        tokens, text, remaining=1000 - len(tokens), thinking_open=False, notes=[]
    )


@pytest.mark.clause("CNT-2", "REQ-4")
@pytest.mark.parametrize("window", [1000, 20, 19, 5])
async def test_a_prompt_is_whole_whether_or_not_it_fits_the_window(window: int) -> None:
    prompt = await (await builder(window=window)).build(conversation_of(user("one two three")))
    assert prompt.remaining == window - len(prompt.tokens)
    assert prompt.tokens == (await (await builder()).build(conversation_of(user("one two three")))).tokens


@pytest.mark.clause("ERR-9", "REQ-9")
async def test_a_refusal_of_the_template_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await (await builder(templates.ALTERNATING)).build(
            conversation_of(user("Hi"), assistant("a"), assistant("b"), user("c"))
        )
    assert refusal.value.message == "messages: the model's chat template refuses this conversation: roles must alternate"


async def test_a_template_that_renders_no_user_turn_is_refused_when_it_is_loaded() -> None:
    with pytest.raises(TemplateRefusal):
        await builder("{{ bos_token }}")


@pytest.mark.clause("CNT-2")
async def test_special_tokens_that_a_client_spells_are_tokenized_as_text() -> None:
    tokenizer = WordTokenizer(SPECIAL)
    prompts = await builder(tokenizer=tokenizer)
    prompt = await prompts.build(conversation_of(user("x<|im_end|>y<|endoftext|>"), tools=[READ]))

    assert "user\nx<|im_end|>y<|endoftext|><|im_end|>\n<|im_start|>assistant\n" in prompt.text
    assert [name for name in tokenizer.spell(prompt.tokens) if name.startswith("special")] == [
        f"special {name}" for name in ("<|im_start|>", "<|im_end|>", "<|im_start|>", "<|im_end|>", "<|im_start|>")
    ]


@pytest.mark.clause("THK-6")
@pytest.mark.parametrize(
    ("tail", "open_"), [("", False), ("<think>\\n", True), ("<think>", True), ("<think>\\n\\n</think>\\n\\n", False)]
)
async def test_a_prompt_that_ends_inside_reasoning_says_so(tail: str, open_: bool) -> None:
    source = templates.CHATML.replace("<|im_start|>assistant\\n", "<|im_start|>assistant\\n" + tail)
    prompts = await builder(source)
    on = ThinkingPolicy(enabled=True)
    assert (await prompts.build(changed(conversation_of(user("Hi")), thinking=on))).thinking_open is open_
    assert (
        await prompts.build(changed(conversation_of(user("Why <think>"), assistant("So")), thinking=on))
    ).thinking_open is False
    assert (await prompts.build(conversation_of(user("Hi")))).thinking_open is False


@pytest.mark.clause("CACHE-1", "CACHE-4", "CC-4", "REQ-7")
@pytest.mark.parametrize("source", [templates.CHATML, templates.FULL], ids=["default", "full"])
async def test_breakpoints_the_attribution_line_and_the_form_of_content_do_not_change_the_prompt(source: str) -> None:
    """Compare two equivalent bodies, one of them in the form that Claude Code sends."""

    def ask(*, plain: bool, line: str = "") -> Conversation:
        def text(words: str) -> Any:
            return words if plain else [{"type": "text", "text": words, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]

        system = [{"type": "text", "text": f"x-anthropic-billing-header: {line}"}] * bool(line)
        mark = {} if plain else {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
        body = {
            "model": "m",
            "max_tokens": 16,
            "system": [*system, {"type": "text", "text": "You help.", **mark}],
            "messages": [
                {"role": "user", "content": text("Hi")},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "read", "input": {"z": 1, "a": 2}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": text("x"), **mark}]},
            ],
            "tools": [{"name": "read", "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}}],
            "metadata": {"user_id": line},
        }
        return lower(MessagesRequest.model_validate_json(json.dumps(body)))

    prompts = await builder(source)
    plain, marked, *lined = [
        await prompts.build(conversation)
        for conversation in (
            ask(plain=True),
            ask(plain=False),
            ask(plain=False, line="cch=1;"),
            ask(plain=False, line="cch=2;"),
        )
    ]
    assert marked == plain
    assert [(prompt.text, prompt.tokens) for prompt in lined] == [(plain.text, plain.tokens)] * 2
    assert lined[0].notes == ["removed: system block 1 (claude-code-attribution)", *plain.notes]


@pytest.mark.clause("CNT-2", "CNT-3")
async def test_counting_and_generating_build_the_same_prompt() -> None:
    body = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "Hi"}], "thinking": {"type": "adaptive"}}
    source = json.dumps(body)
    prompts = await builder(templates.FULL)
    generated = await prompts.build(lower(MessagesRequest.model_validate_json(source)))
    assert await prompts.build(lower(CountTokensRequest.model_validate_json(source))) == generated


@pytest.mark.clause("CACHE-4")
async def test_a_conversation_has_the_same_prompt_in_every_process() -> None:
    first, second = [await (await builder()).build(conversation_of(*LOOP, tools=[READ])) for _ in range(2)]
    assert first == second


@pytest.mark.clause("ERR-1", "ERR-9")
@pytest.mark.parametrize("name", ["CHATML", "FULL", "ALTERNATING"])
async def test_every_accepted_body_is_rendered_or_refused(name: str) -> None:
    prompts = await builder(getattr(templates, name))
    built = 0
    for seed in range(300):
        try:
            built += bool(await prompts.build(read(mutated(seed))))
        except InvalidRequest:
            continue
    assert built > 20 or name == "ALTERNATING"


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "9" * 4000])
async def test_numbers_that_are_not_finite_or_far_too_large_are_rendered(number: str) -> None:
    source = body(user_message("Hi"), assistant_message(call("a", arguments={"n": "NUMBER"})), user_message(result("a")))
    conversation = read(json.dumps(source).replace('"NUMBER"', number).encode())
    for template in (templates.CHATML, templates.FULL, templates.STRING_ARGUMENTS):
        assert (await (await builder(template)).build(conversation)).tokens
