"""Images in prompts: where they are, what is around them, and how they are counted."""

import base64
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman import dialects
from dragoman.conversation import Conversation, Image, ImageSpan, Text, ToolCall, ToolResult, tokens_of
from dragoman.inspection.profile import inspect
from dragoman.prefix import common_prefix_length
from dragoman.prompt import ChatTemplate, Prompt, PromptBuilder
from dragoman.prompt.spellings import candidates_in

from . import templates
from .conversations import READ, assistant, conversation_of, user
from .word_tokenizer import WordTokenizer

SPECIAL = ["<|im_start|>", "<|im_end|>", "<s>", "</s>"]
CAT, DOG = Image(b"a cat", "image/png", "cat"), Image(b"a dog", "image/png", "dog")
LENGTHS = {"cat": 7, "dog": 5}
RESERVED = "<__media"

WRITTEN_TEMPLATES = ["CHATML", "FULL", "TYPED", "NO_RESULTS", "SYSTEM_LOST", "ALTERNATING", "ONE_CALL", "SPACE_BEFORE_ANSWER"]


async def builder(source: str = templates.CHATML, window: int = 1000) -> PromptBuilder:
    async def length(image: Image) -> int:
        return LENGTHS[image.digest]

    profile = inspect(ChatTemplate(source), dialects.get("hermes"))
    return await PromptBuilder.load(profile, WordTokenizer(SPECIAL), window, image_length=length, reserved=[RESERVED])


async def prompt_of(*content: Text | Image | ToolResult | str, source: str = templates.CHATML) -> Prompt:
    return await (await builder(source)).build(conversation_of(user(*content)))


def users_part(prompt: Prompt) -> str:
    return prompt.text.partition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]


async def test_a_prompt_without_images_has_no_spans() -> None:
    assert (await prompt_of("Hi")).spans == ()


async def test_images_are_where_the_client_put_them_without_anything_between() -> None:
    prompt = await prompt_of("One:", CAT, "Two:", "Look!", DOG, DOG)
    assert users_part(prompt) == "One:<image cat>Two:\n\nLook!<image dog><image dog>"
    assert [span.image for span in prompt.spans if isinstance(span, ImageSpan)] == [CAT, DOG, DOG]


async def test_the_length_of_a_prompt_counts_its_images() -> None:
    with_text, with_image = await prompt_of("One"), await prompt_of("One", CAT)
    assert with_image.length == with_text.length + LENGTHS["cat"]
    assert with_image.remaining == with_text.remaining - LENGTHS["cat"]
    assert tokens_of(with_image.spans) == with_image.tokens


async def test_equal_images_have_equal_ids_and_others_do_not() -> None:
    cat, again, dog = [list((await prompt_of(image)).tokens) for image in (CAT, CAT, DOG)]
    assert cat == again
    assert not set(dog).issubset(cat)


async def test_a_turn_that_is_only_an_image_is_rendered() -> None:
    assert users_part(await prompt_of(CAT)) == "<image cat>"


@pytest.mark.parametrize("name", WRITTEN_TEMPLATES)
async def test_every_template_renders_images_of_turns_and_results_once(name: str) -> None:
    call = ToolCall("a", "read", {"path": "cat.png"})
    result = ToolResult("a", "read", (Text("It is"), CAT, Text("in colour")), is_error=False)
    conversation = conversation_of(
        user("What does it show?", DOG),
        assistant("I look.", call),
        user(result),
        assistant("A cat."),
        user("Sure?"),
        tools=[READ],
    )
    prompt = await (await builder(getattr(templates, name))).build(conversation)
    assert [span.image for span in prompt.spans if isinstance(span, ImageSpan)] == [DOG, CAT]
    assert "It is<image cat>in colour" in prompt.text


async def test_an_image_in_json_that_a_template_writes_is_found() -> None:
    source = "{% for message in messages %}[{{ message.role }}]{{ message.content | tojson }}{% endfor %}"
    prompt = await prompt_of('a "b"', CAT, source=source)
    assert prompt.text == '[user]"a \\"b\\"<image cat>"'


async def test_an_image_that_the_template_loses_is_noted() -> None:
    source = "{% for message in messages %}[{{ message.role }}]{{ message.content[:30] }}{% endfor %}"
    prompt = await prompt_of("This is long enough to lose it.", CAT, source=source)
    assert "removed: 1 images, as the template loses them" in prompt.notes
    assert prompt.spans == ()


async def test_special_tokens_and_markers_of_the_client_stay_text_beside_an_image() -> None:
    prompt = await prompt_of("<|im_end|> and <__media__> and <b>", CAT)
    read = "".join(span.text if not isinstance(span, ImageSpan) else "" for span in prompt.spans)
    assert "user\n<|im_end|> and <__media__> and <b><image cat><|im_end|>" in prompt.text
    assert "user\n<\u2060|im_end|> and <\u2060__media__> and <b><|im_end|>" in read
    assert any(note.startswith("changed: special tokens") for note in prompt.notes)


@given(text=st.text(alphabet="<|im_end>/s__media image0n", max_size=60))
async def test_no_text_of_a_client_looks_like_an_image(text: str) -> None:
    prompt = await prompt_of(text, CAT, text)
    assert sum(isinstance(span, ImageSpan) for span in prompt.spans) == 1


async def test_a_prompt_with_images_begins_with_the_one_before_it() -> None:
    made = await builder(templates.FULL)
    call = ToolCall("a", "read", {"path": "cat.png"})
    turns = [
        user("Look:", DOG),
        assistant("I look.", call),
        user(ToolResult("a", "read", (CAT, Text("(1 image)")), is_error=False)),
        assistant("A cat."),
        user(CAT, "And this?"),
    ]
    prompts = [await made.build(conversation_of(*turns[:count], tools=[READ])) for count in (1, 3, 5)]
    for before, after in pairwise(prompts):
        beginning = before.text.removesuffix("<assistant>")
        assert after.text.startswith(beginning)
        common = len(before.tokens) - 3  # the generation prompt
        assert list(after.tokens)[:common] == list(before.tokens)[:common]


async def test_with_an_image_in_the_first_turn_spelled_special_tokens_are_the_same_in_every_later_prompt() -> None:
    made = await builder(templates.FULL)
    turns = [user(DOG, "A <|im_end|>?"), assistant("Yes."), user("And </s> there?"), assistant("No."), user(CAT, "<|im_end|>")]
    prompts = [await made.build(conversation_of(*turns[:count])) for count in (1, 3, 5)]
    for before, after in pairwise(prompts):
        common = len(before.tokens) - 3  # the generation prompt
        assert list(after.tokens)[:common] == list(before.tokens)[:common]


async def test_before_the_first_image_the_model_reads_spelled_special_tokens_unchanged() -> None:
    """A change from the beginning would keep such prompts append-only, but models copy text: files would get the character."""
    made = await builder()
    turns = [user("This is a spelled <|im_end|> token."), assistant("Yes."), user("And this:", CAT)]
    before, after = [await made.build(conversation_of(*turns[:count])) for count in (1, 3)]
    assert [any("invisible" in note for note in prompt.notes) for prompt in (before, after)] == [False, True]
    kept = len((await made.plain(before.text.partition("<|im_end|> token")[0])).tokens)
    assert (
        kept <= common_prefix_length(array("I", before.tokens), array("I", after.tokens)) <= kept + 1
    )  # the bracket of the spelling


def test_texts_and_results_are_searched_and_images_are_not() -> None:
    large = Image(bytes(1 << 20), "image/png", "large")
    result = ToolResult("a", "read", (Text("a result"), large), is_error=False)
    conversation: Conversation = conversation_of(user("a text", large), assistant(ToolCall("a", "read", {})), user(result))
    in_base64 = base64.b64encode(large.data).decode()[:100]
    assert candidates_in(conversation.dialogue, ["a text", "a result", in_base64]) == {"a text", "a result"}
