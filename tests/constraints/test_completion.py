"""A forced call that is cut anywhere can be completed."""

import json
import os

import jsonschema_rs
import pytest

from dragoman import dialects
from dragoman.constraints.completion import shortest_completion
from dragoman.conversation import AnswerPolicy, Tool, ToolCall, ToolChoice, ToolPolicy
from dragoman.dialects import Constrainer
from dragoman.parts import CallDelta, CallEnd

TOOL = Tool(
    "note",
    "",
    {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "kind": {"enum": ["long", "short"]},
            "deep": {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}, "required": ["a"]},
            "n": {"type": "integer", "minimum": 10},
        },
        "required": ["text", "deep", "n"],
    },
)
CALL = ToolCall("toolu_01abcdefgh", "note", {"text": 'a "b" ü', "kind": "long", "deep": {"a": ["x", "y"]}, "n": 12})
STEP = 1 if os.environ.get("DRAGOMAN_TESTS") == "thorough" else 13


@pytest.mark.slow
@pytest.mark.clause("TOOL-5", "TOOL-17")
@pytest.mark.parametrize("name", sorted(dialects.BY_NAME))
def test_a_call_cut_anywhere_can_be_completed(name: str) -> None:
    dialect = dialects.get(name)
    policy = AnswerPolicy(tools=(TOOL,), tool_policy=ToolPolicy(ToolChoice.ANY))
    held = Constrainer(dialect).constraint(policy, thinking_open=False)
    assert held is not None
    written = dialect.encode_calls([CALL])
    for cut in range(0, len(written), STEP):
        way = shortest_completion(held, written[:cut])
        assert way is not None
        parser = dialect.parser(policy.schemas, thinking_open=False)
        parts = [*parser.feed(written[:cut] + way), *parser.finish(cut=False)]
        assert [part.complete for part in parts if isinstance(part, CallEnd)] == [True]
        arguments = json.loads("".join(part.json for part in parts if isinstance(part, CallDelta)))
        assert jsonschema_rs.is_valid(TOOL.schema, arguments)


def test_a_text_that_the_constraint_forbids_has_no_completion() -> None:
    policy = AnswerPolicy(tools=(TOOL,), tool_policy=ToolPolicy(ToolChoice.ANY))
    held = Constrainer(dialects.get("qwen3")).constraint(policy, thinking_open=False)
    assert held is not None
    assert shortest_completion(held, "I rather not") is None
