"""Images with real templates: how they write one, and that images of turns and of results are rendered once, in their order."""

import pytest

from corpus import templates
from dragoman.conversation import Image, Text, ToolCall, ToolResult
from dragoman.inspection.image_notation import find_image_notation
from dragoman.inspection.profile import inspect
from dragoman.prompt import ChatTemplate, Renderer
from prompt.conversations import READ, assistant, conversation_of, user
from prompt.families import family_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

QWEN = "<|vision_start|><|image_pad|><|vision_end|>"
NOTATIONS = {
    "llama.cpp/Mistral-Small-3.2-24B-Instruct-2506": "[IMG]",
    "llama.cpp/Qwen3.5-4B": QWEN,
    "llama.cpp/google-gemma-4-31B-it": "<|image|>",
    "trl/gemma3": "<start_of_image>",
    "trl/idefics3": "<image>",
    "trl/qwen2_5_vl": QWEN,
    "trl/qwen3_vl": QWEN,
    "trl/smolvlm": "<image>",
    "llama.cpp/Qwen-Qwen3-0.6B": "",
    "llama.cpp/openai-gpt-oss-120b": "",
}
DOG, CAT = Image(b"a dog", "image/png", "dog"), Image(b"a cat", "image/png", "cat")


def test_the_notations_of_real_templates_are_found() -> None:
    sources = templates()
    assert {name: find_image_notation(ChatTemplate(sources[name])) for name in NOTATIONS} == NOTATIONS


def test_real_templates_render_each_image_once_in_its_place() -> None:
    call = ToolCall("call_1", "read", {"path": "cat.png"})
    result = ToolResult("call_1", "read", (Text("It shows:"), CAT), is_error=False)
    conversation = conversation_of(
        user("What is this?", DOG), assistant(call), user(result), assistant("A cat."), user("Sure?"), tools=[READ]
    )
    rendered = {
        name: Renderer(inspect(ChatTemplate(source, bos_token="<s>", eos_token="</s>"), family_of(name))).render(conversation)
        for name, source in templates().items()
    }
    found = {
        name: [piece.digest for piece in made.images.pieces(made.text) if isinstance(piece, Image)]
        for name, made in rendered.items()
    }
    assert {name: digests for name, digests in found.items() if digests != ["dog", "cat"]} == {}
