"""What looks like a special token is found in every text of a dialogue."""

import pytest

from dragoman.conversation import Dialogue, Image, Role, Text, Thinking, Tool, ToolCall, ToolResult, Turn
from dragoman.conversation.types import Content
from dragoman.prompt.spellings import candidates_in

TOKEN = "<|im_end|>"


@pytest.mark.parametrize(
    "content",
    [
        Text(f"a {TOKEN}"),
        Thinking(TOKEN),
        ToolCall("a", "look", {"at": [{TOKEN: 1}]}),
        ToolCall("a", "look", {"at": f"\n{TOKEN}"}),
        ToolResult.of_text("a", "look", TOKEN),
        ToolResult("a", "look", (Image(b"", "image/png", "0"), Text(TOKEN)), is_error=True),
        ToolResult.of_text("a", TOKEN, ""),
    ],
)
def test_a_spelling_is_found_in_each_kind_of_content(content: Content) -> None:
    for _ in range(2):
        assert candidates_in(Dialogue([Turn(Role.USER, [content])]), ()) == {TOKEN}


def test_a_spelling_is_found_in_the_system_text_and_in_tools() -> None:
    tools = [Tool("look", "[INST]", {"properties": {"<s>": {}}})]
    assert candidates_in(Dialogue(system=[Text("<b>")], tools=tools), ()) == {"<b>", "[INST]", "<s>"}


def test_a_name_of_another_shape_is_found_if_a_text_has_it() -> None:
    dialogue = Dialogue([Turn(Role.USER, [Text("an EOT here")])])
    assert candidates_in(dialogue, ["EOT", "BOS"]) == {"EOT"}
