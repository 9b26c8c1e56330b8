"""A constraint asks for what the encoder writes and the parser reads.

Three ways to be sure of it, for every dialect: what the encoder writes is held; what a model without any sense writes, held by
the constraint, is a call that is valid by the tool's schema; and what is no call where one is forced is not let through.
"""

import json
import os
import random
from collections.abc import Sequence
from dataclasses import replace

import jsonschema_rs
import llguidance
import pytest

from dragoman import dialects
from dragoman.constraints.lark import compiled
from dragoman.constraints.tree import Constraint
from dragoman.conversation import Conversation, ThinkingPolicy, Tool, ToolCall, ToolChoice, ToolPolicy
from dragoman.dialects import Constrainer, Dialect
from dragoman.parts import CallDelta, CallEnd, CallStart, Part, Text

BYTES = llguidance.LLTokenizer("byte")

WEATHER = Tool(
    "get_weather",
    "",
    {
        "type": "object",
        "properties": {
            "place": {"type": "string"},
            "days": {"type": "integer", "minimum": 1, "maximum": 99},
            "deep": {
                "type": "object",
                "properties": {"a": {"type": "array", "items": {"type": "string"}}, "b": {"type": ["boolean", "null"]}},
                "required": ["a"],
            },
            "unit": {"enum": ["c", "f"]},
        },
        "required": ["place", "deep"],
    },
)
NOW = Tool("now", "", {"type": "object", "properties": {}})
TREE = Tool(
    "tree",
    "",
    {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/Node"}, "code": {"type": "string", "pattern": "^[a-z]{2}-[0-9]+$"}},
        "required": ["root", "code"],
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"value": {"type": "number"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
                "required": ["value"],
            }
        },
    },
)
CALLS = [
    ToolCall(
        "toolu_01abcdefgh",
        "get_weather",
        {"place": 'Ulm, "a"', "days": 3, "deep": {"a": ["x", "ü 🦊"], "b": True}, "unit": "c"},
    ),
    ToolCall("toolu_02abcdefgh", "now", {}),
]
WALKS = 20 if os.environ.get("DRAGOMAN_TESTS") == "thorough" else 4
LONGEST = 3000


def asked(
    choice: str, *tools: Tool, name: str | None = None, parallel: bool = True, thinking: bool = False, strict: bool = False
) -> Conversation:
    return Conversation(
        turns=(),
        tools=tuple(replace(tool, strict=strict) for tool in tools or (WEATHER, NOW)),
        tool_policy=ToolPolicy(ToolChoice(choice), name, parallel),
        thinking=ThinkingPolicy(enabled=thinking),
    )


def constraint(dialect: Dialect, conversation: Conversation, *, thinking_open: bool = False) -> Constraint:
    found = Constrainer(dialect).constraint(conversation, thinking_open=thinking_open)
    assert found is not None
    return found


def matcher(held: Constraint) -> llguidance.LLMatcher:
    grammar = compiled(held, {})
    assert not grammar.relaxed
    return llguidance.LLMatcher(BYTES, grammar.text)


def holds(held: Constraint, text: str) -> bool:
    reader = matcher(held)
    written = text.encode()
    return bool(reader.try_consume_tokens(list(written)) == len(written) and reader.is_accepting())


def walk(held: Constraint, dice: random.Random) -> str:
    """What a model writes that has nothing in mind: any byte that is allowed, closers and quotes a little more often."""
    reader = matcher(held)
    written = bytearray()
    while not reader.is_stopped():
        mask = reader.compute_bitmask()
        allowed = [byte for byte in range(256) if mask[byte // 8] >> byte % 8 & 1]
        if not allowed or (reader.is_accepting() and dice.random() < 0.7):
            break
        likely = [byte for byte in allowed if chr(byte) in "\"}])>|<'\n"]
        byte = dice.choice(likely if likely and dice.random() < 0.6 else allowed)
        assert reader.consume_token(byte)
        written.append(byte)
        while forced := reader.compute_ff_tokens():
            assert reader.consume_tokens(forced)
            written += bytes(forced)
        if len(written) > LONGEST:
            return ""
    return written.decode(errors="replace")


def read(dialect: Dialect, conversation: Conversation, text: str, *, thinking_open: bool = False) -> list[Part]:
    parser = dialect.parser({tool.name: tool.schema for tool in conversation.tools}, thinking_open=thinking_open)
    return [*parser.feed(text), *parser.finish(cut=False)]


def calls(parts: Sequence[Part]) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    written = ""
    for part in parts:
        match part:
            case CallStart(name):
                written = ""
            case CallDelta(json=piece):
                written += piece
            case CallEnd(complete):
                assert complete
                found.append((name, json.loads(written or "{}")))
    return found


EVERY = pytest.mark.parametrize("name", sorted(dialects.BY_NAME))


@pytest.mark.clause("TOOL-5", "TOOL-7")
@EVERY
def test_a_forced_call_is_what_the_encoder_writes(name: str):
    dialect = dialects.get(name)
    assert not holds(constraint(dialect, asked("any")), dialect.encode_calls(CALLS))
    for call in CALLS:
        written = dialect.encode_calls([call])
        assert holds(constraint(dialect, asked("any")), written)
        assert holds(constraint(dialect, asked("tool", name=call.name)), written)
        assert not holds(constraint(dialect, asked("any")), f"Well. {written}")
    assert not holds(constraint(dialect, asked("tool", name="now")), dialect.encode_calls(CALLS[:1]))
    assert not holds(constraint(dialect, asked("any")), "I would rather not.")


@pytest.mark.slow
@pytest.mark.clause("TOOL-5", "TOOL-11")
@EVERY
def test_whatever_is_written_under_a_forced_choice_is_a_valid_call(name: str):
    dialect = dialects.get(name)
    conversation = asked("any", WEATHER, NOW, TREE, parallel=False)
    held = constraint(dialect, conversation)
    schemas = {tool.name: tool.schema for tool in conversation.tools}
    finished = 0
    for seed in range(WALKS):
        text = walk(held, random.Random(seed))
        if not text:  # it never found its closer
            continue
        finished += 1
        parts = read(dialect, conversation, text)
        ((called, arguments),) = calls(parts)
        assert not any(isinstance(part, Text) and part.text.strip() for part in parts), (text, parts)
        assert jsonschema_rs.is_valid(schemas[called], arguments), (text, arguments)
    assert finished or WALKS < 5


@pytest.mark.clause("TOOL-4", "TOOL-7")
@EVERY
def test_with_auto_text_is_free_and_a_call_is_held_once_it_begins(name: str):
    dialect = dialects.get(name)
    written = dialect.encode_calls(CALLS)
    free = Constrainer(dialect).constraint(asked("auto"), thinking_open=False)
    for tools in (free, constraint(dialect, asked("auto", strict=True))):
        if tools is None:  # its calls begin like any text, and nothing is strict
            continue
        framed = dialect.frame.text + dialect.frame.header_end if dialect.frame else ""
        assert holds(tools, f"{framed}It is not <b>certain</b> {{yet}}.\n")
        assert holds(tools, written)
        if dialect.frame is None and not (dialect.calls and dialect.calls.bare):
            assert holds(tools, f"I look.\n{written}")
            assert not holds(tools, f"I look.\n{written.replace('get_weather', 'rm_rf')}")
    assert (free is None) == bool(dialect.frame or (dialect.calls and (dialect.calls.bare or dialect.calls.doubtful)))


@pytest.mark.clause("TOOL-7")
def test_with_auto_and_no_parallel_calls_one_call_ends_the_turn():
    hermes = dialects.get("hermes")
    held = constraint(hermes, asked("auto", parallel=False))
    assert holds(held, f"I look.\n{hermes.encode_calls(CALLS[:1])}")
    assert not holds(held, f"I look.\n{hermes.encode_calls(CALLS)}")
    assert not holds(held, f"{hermes.encode_calls(CALLS[:1])}\nThere.")


@pytest.mark.clause("TOOL-4")
@pytest.mark.parametrize("name", ["qwen3", "qwen3-coder", "deepseek-v3.1", "lfm2", "gemma4", "kimi-k2"])
def test_with_none_no_call_can_begin(name: str):
    dialect = dialects.get(name)
    held = constraint(dialect, asked("none"))
    assert holds(held, "There is a <tool> for that, but no.")
    assert not holds(held, f"Here: {dialect.encode_calls(CALLS)}")


THINKERS = pytest.mark.parametrize(
    "name",
    sorted(name for name, dialect in dialects.BY_NAME.items() if dialect.reasoning and dialect.reasoning.closes),
)


@pytest.mark.clause("TOOL-5", "THK-3")
@THINKERS
def test_a_forced_call_may_be_thought_about_where_thinking_is_on(name: str):
    dialect = dialects.get(name)
    assert dialect.reasoning is not None
    written = dialect.close_thinking[: len(dialect.close_thinking.rstrip())] + "\n\n" * dialect.close_thinking.endswith("\n\n")
    call = dialect.encode_calls(CALLS[:1])
    inside = constraint(dialect, asked("any"), thinking_open=True)
    closer = dialect.reasoning.closes[0]
    gap = dialect.close_thinking.partition(closer)[2]
    gap = gap[: len(gap) - len(gap.lstrip())]
    assert holds(inside, f"Hm, {{what}}?{closer}{gap}{call}"), written
    assert not holds(inside, f"Hm.{closer}{gap}I rather not.")
    outside = constraint(dialect, asked("any", thinking=True))
    assert holds(outside, f"{dialect.reasoning.opens[0]}Hm.{closer}{gap}{call}")
    assert holds(outside, call)


@THINKERS
def test_a_model_may_end_its_turn_inside_reasoning(name: str):
    dialect = dialects.get(name)
    held = Constrainer(dialect).constraint(asked("auto"), thinking_open=True)
    assert held is None or holds(held, "Hm, I should stop here.")


OUTPUT = {"type": "object", "properties": {"note": {"type": "string"}, "n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.clause("STR-1", "STR-3", "STR-6")
@EVERY
def test_an_output_format_holds_the_answer_to_one_json_text(name: str):
    dialect = dialects.get(name)
    framed = dialect.frame.text + dialect.frame.header_end if dialect.frame else ""
    alone = constraint(dialect, replace(asked("auto"), tools=(), output=OUTPUT))
    assert holds(alone, framed + '{"n": 1, "note": "x"}')
    assert holds(alone, framed + '{"n": 1}')
    assert not holds(alone, framed + '{"note": "x", "n": 1}')  # what must be there comes first
    assert not holds(alone, framed + 'Here: {"n": 1}')
    assert not holds(alone, framed + '{"n": 1} Done.')
    with_tools = Constrainer(dialect).constraint(replace(asked("auto"), output=OUTPUT), thinking_open=False)
    if with_tools is None:
        assert dialect.calls is not None
        assert dialect.calls.bare.startswith("{")  # nothing tells such a call from such an answer: it is checked afterwards
        return
    assert holds(with_tools, framed + '{"n": 1}')
    assert holds(with_tools, dialect.encode_calls(CALLS))
    assert not holds(with_tools, framed + "Well.")


@pytest.mark.clause("STR-4")
def test_an_output_format_takes_what_the_sdk_makes_of_classes():
    schema = {
        "$defs": {"Pet": {"type": "object", "title": "Pet", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
        "type": "object",
        "title": "Home",
        "properties": {
            "pets": {"type": "array", "items": {"$ref": "#/$defs/Pet"}},
            "kind": {"enum": ["house", "flat"]},
            "only": {"const": 7},
            "owner": {"anyOf": [{"$ref": "#/$defs/Pet"}, {"type": "null"}], "description": "or nobody"},
        },
        "required": ["pets", "kind", "only", "owner"],
    }
    held = constraint(dialects.get("qwen3"), replace(asked("auto"), tools=(), output=schema))
    home = {"pets": [{"name": "Rex"}], "kind": "flat", "only": 7, "owner": None}
    assert holds(held, json.dumps(home))
    assert not holds(held, json.dumps(home | {"kind": "tent"}))
    assert not holds(held, json.dumps(home | {"pets": [{"name": "Rex", "age": 3}]}))


def test_without_tools_and_format_nothing_is_held():
    assert Constrainer(dialects.get("qwen3")).constraint(replace(asked("auto"), tools=()), thinking_open=False) is None


def test_the_same_request_has_the_same_constraint_and_another_has_another():
    constrainer = Constrainer(dialects.get("qwen3"))
    first = constrainer.constraint(asked("any"), thinking_open=False)
    again = constrainer.constraint(asked("any"), thinking_open=False)
    other = constrainer.constraint(asked("any", WEATHER), thinking_open=False)
    assert first is again
    assert first is not None
    assert other is not None
    assert first.key != other.key


@pytest.mark.parametrize("name", ["qwen3", "qwen3-coder", "kimi-k2", "mistral-v3", "lfm2", "gpt-oss"])
def test_the_opening_of_a_call_goes_as_far_as_what_is_certain(name: str):
    dialect = dialects.get(name)
    one, several = dialects.call_opening(dialect, [WEATHER]), dialects.call_opening(dialect, [WEATHER, NOW])
    written = dialect.encode_calls(CALLS[:1])
    assert written.startswith(several)
    assert written.startswith(one)
    assert one.removeprefix(several).startswith("get_weather")


@pytest.mark.clause("STR-4", "TOOL-11")
@pytest.mark.parametrize("name", ["qwen3", "qwen3-coder", "gemma4", "minimax-m3"])
def test_a_tree_that_must_be_filled_ends_somewhere(name: str):
    def tree(depth: int) -> dict[str, object]:
        return {"value": depth, "next": tree(depth - 1)} if depth else {"value": 0, "next": None}

    dialect = dialects.get(name)
    held = constraint(dialect, asked("tool", TREE, name="tree"))
    for depth, may in ((0, True), (4, True), (5, False)):
        call = ToolCall("toolu_01abcdefgh", "tree", {"root": tree(depth), "code": "ab-1"})
        assert holds(held, dialect.encode_calls([call])) is may, depth
    assert holds(constraint(dialect, asked("auto", TREE)), dialect.encode_calls([call]))  # who need not call may go on


@pytest.mark.clause("TOOL-11")
def test_large_bounds_are_held_where_a_tool_is_strict_and_cost_nothing_where_none_is():
    rows = {"type": "array", "items": {"type": "integer"}, "maxItems": 40}
    few = {"type": "array", "items": {"type": "integer"}, "maxItems": 2}
    tool = Tool("fill", "", {"type": "object", "properties": {"rows": rows, "few": few}})
    hermes = dialects.get("hermes")
    loose, strict = (constraint(hermes, asked("auto", tool, strict=strict)) for strict in (False, True))
    many = hermes.encode_calls([ToolCall("t", "fill", {"rows": [1] * 41})])
    assert holds(loose, many)
    assert not holds(strict, many)
    assert not holds(loose, hermes.encode_calls([ToolCall("t", "fill", {"few": [1] * 3})]))
