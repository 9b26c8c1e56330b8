"""A constraint accepts the output that the writer writes and that the parser reads.

Three checks for every dialect: the constraint accepts the calls of the writer; random output under the constraint is a call
that is valid by the tool's schema; and where a call is forced, output that is not a call is rejected.
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
from dragoman.conversation import AnswerPolicy, ThinkingPolicy, Tool, ToolCall, ToolChoice, ToolPolicy
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
SAMPLES = 20 if os.environ.get("DRAGOMAN_TESTS") == "thorough" else 4
MAX_BYTES = 3000


def asked(
    choice: str, *tools: Tool, name: str | None = None, parallel: bool = True, thinking: bool = False, strict: bool = False
) -> AnswerPolicy:
    return AnswerPolicy(
        tools=tuple(replace(tool, strict=strict) for tool in tools or (WEATHER, NOW)),
        tool_policy=ToolPolicy(ToolChoice(choice), name, parallel),
        thinking=ThinkingPolicy(enabled=thinking),
    )


def constraint(dialect: Dialect, policy: AnswerPolicy, *, thinking_open: bool = False) -> Constraint:
    found = Constrainer(dialect).constraint(policy, thinking_open=thinking_open)
    assert found is not None
    return found


COMPILED: list[tuple[Constraint, llguidance.LLMatcher]] = []
"""The constraints that were compiled last, each with a matcher at its start: a copy of one is faster than another one."""


def matcher(enforced: Constraint) -> llguidance.LLMatcher:
    for known, start in COMPILED:
        if known is enforced:
            return start.deep_copy()
    grammar = compiled(enforced, {})
    assert not grammar.relaxed
    made = llguidance.LLMatcher(BYTES, grammar.text)
    COMPILED[:] = [*COMPILED[-4:], (enforced, made)]
    return made.deep_copy()


def accepts(enforced: Constraint, text: str) -> bool:
    reader = matcher(enforced)
    written = text.encode()
    return bool(reader.try_consume_tokens(list(written)) == len(written) and reader.is_accepting())


def random_output(enforced: Constraint, choose: random.Random) -> str:
    """Random output under the constraint: any allowed byte, closers and quotes a little more often; "" if it does not end."""
    reader = matcher(enforced)
    written = bytearray()
    while not reader.is_stopped():
        mask = reader.compute_bitmask()
        allowed = [byte for byte in range(256) if mask[byte // 8] >> byte % 8 & 1]
        if not allowed or (reader.is_accepting() and choose.random() < 0.7):
            break
        likely = [byte for byte in allowed if chr(byte) in "\"}])>|<'\n"]
        byte = choose.choice(likely if likely and choose.random() < 0.6 else allowed)
        assert reader.consume_token(byte)
        written.append(byte)
        while forced := reader.compute_ff_tokens():
            assert reader.consume_tokens(forced)
            written += bytes(forced)
        if len(written) > MAX_BYTES:
            return ""
    return written.decode(errors="replace")


def read(dialect: Dialect, policy: AnswerPolicy, text: str, *, thinking_open: bool = False) -> list[Part]:
    parser = dialect.parser({tool.name: tool.schema for tool in policy.tools}, thinking_open=thinking_open)
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


EACH = pytest.mark.parametrize("name", sorted(dialects.BY_NAME))


@pytest.mark.clause("TOOL-5", "TOOL-7")
@EACH
def test_a_forced_call_is_the_one_that_the_writer_writes(name: str) -> None:
    dialect = dialects.get(name)
    forced = constraint(dialect, asked("any"))
    assert not accepts(forced, dialect.encode_calls(CALLS))
    for call in CALLS:
        written = dialect.encode_calls([call])
        assert accepts(forced, written)
        assert accepts(constraint(dialect, asked("tool", name=call.name)), written)
        assert not accepts(forced, f"Well. {written}")
    assert not accepts(constraint(dialect, asked("tool", name="now")), dialect.encode_calls(CALLS[:1]))
    assert not accepts(forced, "I would rather not.")


@pytest.mark.slow
@pytest.mark.clause("TOOL-5", "TOOL-11")
@EACH
def test_any_output_under_a_forced_choice_is_a_valid_call(name: str) -> None:
    dialect = dialects.get(name)
    conversation = asked("any", WEATHER, NOW, TREE, parallel=False)
    enforced = constraint(dialect, conversation)
    schemas = {tool.name: tool.schema for tool in conversation.tools}
    finished = 0
    for seed in range(SAMPLES):
        text = random_output(enforced, random.Random(seed))
        if not text:  # it did not end
            continue
        finished += 1
        parts = read(dialect, conversation, text)
        ((called, arguments),) = calls(parts)
        assert not any(isinstance(part, Text) and part.text.strip() for part in parts), (text, parts)
        assert jsonschema_rs.is_valid(schemas[called], arguments), (text, arguments)
    assert finished or SAMPLES < 5


@pytest.mark.clause("TOOL-4", "TOOL-7")
@EACH
def test_with_auto_text_is_free_and_a_call_is_constrained_once_it_begins(name: str) -> None:
    dialect = dialects.get(name)
    written = dialect.encode_calls(CALLS)
    free = Constrainer(dialect).constraint(asked("auto"), thinking_open=False)
    for tools in (free, constraint(dialect, asked("auto", strict=True))):
        if tools is None:  # its calls begin like text, and no tool is strict
            continue
        framed = dialect.frame.text + dialect.frame.header_end if dialect.frame else ""
        assert accepts(tools, f"{framed}It is not <b>certain</b> {{yet}}.\n")
        assert accepts(tools, written)
        if dialect.frame is None and not (dialect.calls and dialect.calls.bare):
            assert accepts(tools, f"I look.\n{written}")
            assert not accepts(tools, f"I look.\n{written.replace('get_weather', 'rm_rf')}")
    assert (free is None) == bool(dialect.frame or (dialect.calls and (dialect.calls.bare or dialect.calls.doubtful)))


@pytest.mark.clause("TOOL-4", "TOOL-7")
@pytest.mark.parametrize(
    ("strict", "thinking_open"),
    [(False, True), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((False, False), (True, False), (True, True)))],
)
@EACH
def test_with_auto_the_constraint_is_that_of_its_opening_from_there_on(name: str, strict: bool, thinking_open: bool) -> None:
    dialect = dialects.get(name)
    whole = Constrainer(dialect).constraint(asked("auto", strict=strict, thinking=thinking_open), thinking_open=thinking_open)
    if whole is None or whole.opening is None:
        return
    opening, written = whole.opening, dialect.encode_calls(CALLS)
    thought = f"Hm.{dialect.reasoning.closes[0]}" if thinking_open and dialect.reasoning else ""
    assert dialect.calls is not None
    assert {opening.text, *opening.barred} == {*dialect.calls.section_opens, *dialect.calls.opens}
    before, _, rest = written.partition(opening.text)
    assert not before.strip()
    for free in ("", "I look.\n"):
        assert accepts(whole, f"{thought}{free}{opening.text}{rest}")
    assert accepts(opening.after, rest)
    assert accepts(opening.instead, f" I look.\n{written}")
    wrong = rest.replace("get_weather", "rm_rf")
    assert not accepts(whole, f"{thought}{opening.text}{wrong}")
    assert not accepts(opening.after, wrong)
    for barred in opening.barred:
        assert not accepts(whole, f"{thought}I look.\n{barred}")
        assert not accepts(opening.instead, f"I look.\n{barred}")
    for seed in range(SAMPLES):
        output = random_output(opening.after, random.Random(seed))
        assert not output or accepts(whole, f"{thought}I look.\n{opening.text}{output}")


def test_calls_that_begin_like_text_have_no_opening() -> None:
    for name in ("llama3-json", "gpt-oss"):
        assert constraint(dialects.get(name), asked("auto", strict=True)).opening is None
    assert constraint(dialects.get("qwen3"), asked("any")).opening is None
    assert constraint(dialects.get("qwen3"), asked("none")).opening is None


@pytest.mark.clause("TOOL-7")
def test_with_auto_and_no_parallel_calls_one_call_ends_the_answer() -> None:
    hermes = dialects.get("hermes")
    enforced = constraint(hermes, asked("auto", parallel=False))
    assert accepts(enforced, f"I look.\n{hermes.encode_calls(CALLS[:1])}")
    assert not accepts(enforced, f"I look.\n{hermes.encode_calls(CALLS)}")
    assert not accepts(enforced, f"{hermes.encode_calls(CALLS[:1])}\nThere.")


@pytest.mark.clause("TOOL-4")
@pytest.mark.parametrize("name", ["qwen3", "qwen3-coder", "deepseek-v3.1", "lfm2", "gemma4", "kimi-k2"])
def test_with_none_no_call_can_begin(name: str) -> None:
    dialect = dialects.get(name)
    enforced = constraint(dialect, asked("none"))
    assert accepts(enforced, "There is a <tool> for that, but no.")
    assert not accepts(enforced, f"Here: {dialect.encode_calls(CALLS)}")


REASONING = pytest.mark.parametrize(
    "name",
    sorted(name for name, dialect in dialects.BY_NAME.items() if dialect.reasoning and dialect.reasoning.closes),
)


@pytest.mark.clause("TOOL-5", "THK-3")
@REASONING
def test_reasoning_may_come_before_a_forced_call_if_thinking_is_on(name: str) -> None:
    dialect = dialects.get(name)
    assert dialect.reasoning is not None
    written = dialect.close_thinking[: len(dialect.close_thinking.rstrip())] + "\n\n" * dialect.close_thinking.endswith("\n\n")
    call = dialect.encode_calls(CALLS[:1])
    inside = constraint(dialect, asked("any"), thinking_open=True)
    closer = dialect.reasoning.closes[0]
    gap = dialect.close_thinking.partition(closer)[2]
    gap = gap[: len(gap) - len(gap.lstrip())]
    assert accepts(inside, f"Hm, {{what}}?{closer}{gap}{call}"), written
    assert not accepts(inside, f"Hm.{closer}{gap}I rather not.")
    outside = constraint(dialect, asked("any", thinking=True))
    assert accepts(outside, f"{dialect.reasoning.opens[0]}Hm.{closer}{gap}{call}")
    assert accepts(outside, call)


@REASONING
def test_an_answer_may_end_inside_reasoning(name: str) -> None:
    dialect = dialects.get(name)
    enforced = Constrainer(dialect).constraint(asked("auto"), thinking_open=True)
    assert enforced is None or accepts(enforced, "Hm, I should stop here.")


OUTPUT = {"type": "object", "properties": {"note": {"type": "string"}, "n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.clause("STR-1", "STR-3", "STR-6")
@EACH
def test_with_an_output_format_the_answer_is_one_json_text(name: str) -> None:
    dialect = dialects.get(name)
    framed = dialect.frame.text + dialect.frame.header_end if dialect.frame else ""
    alone = constraint(dialect, replace(asked("auto"), tools=(), output=OUTPUT))
    assert accepts(alone, framed + '{"n": 1, "note": "x"}')
    assert accepts(alone, framed + '{"n": 1}')
    assert not accepts(alone, framed + '{"note": "x", "n": 1}')  # required members come first
    assert not accepts(alone, framed + 'Here: {"n": 1}')
    assert not accepts(alone, framed + '{"n": 1} Done.')
    with_tools = Constrainer(dialect).constraint(replace(asked("auto"), output=OUTPUT), thinking_open=False)
    if with_tools is None:
        assert dialect.calls is not None
        # such a call and such an answer begin alike: the answer is validated afterwards
        assert dialect.calls.bare.startswith("{")
        return
    assert accepts(with_tools, framed + '{"n": 1}')
    assert accepts(with_tools, dialect.encode_calls(CALLS))
    assert not accepts(with_tools, framed + "Well.")


@pytest.mark.clause("STR-4")
def test_an_output_format_may_be_a_schema_that_the_sdk_made_from_a_class() -> None:
    schema = {
        "$defs": {"Pet": {"type": "object", "title": "Pet", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
        "type": "object",
        "title": "Flat",
        "properties": {
            "pets": {"type": "array", "items": {"$ref": "#/$defs/Pet"}},
            "kind": {"enum": ["villa", "flat"]},
            "only": {"const": 7},
            "owner": {"anyOf": [{"$ref": "#/$defs/Pet"}, {"type": "null"}], "description": "or null"},
        },
        "required": ["pets", "kind", "only", "owner"],
    }
    enforced = constraint(dialects.get("qwen3"), replace(asked("auto"), tools=(), output=schema))
    flat = {"pets": [{"name": "Rex"}], "kind": "flat", "only": 7, "owner": None}
    assert accepts(enforced, json.dumps(flat))
    assert not accepts(enforced, json.dumps(flat | {"kind": "tent"}))
    assert not accepts(enforced, json.dumps(flat | {"pets": [{"name": "Rex", "age": 3}]}))


def test_without_tools_and_format_there_is_no_constraint() -> None:
    assert Constrainer(dialects.get("qwen3")).constraint(replace(asked("auto"), tools=()), thinking_open=False) is None


def test_equal_requests_have_the_same_constraint_and_others_have_another() -> None:
    constrainer = Constrainer(dialects.get("qwen3"))
    first = constrainer.constraint(asked("any"), thinking_open=False)
    again = constrainer.constraint(asked("any"), thinking_open=False)
    other = constrainer.constraint(asked("any", WEATHER), thinking_open=False)
    assert first is again
    assert first is not None
    assert other is not None
    assert first.key != other.key


@pytest.mark.parametrize("name", ["qwen3", "qwen3-coder", "kimi-k2", "mistral-v3", "lfm2", "gpt-oss"])
def test_the_opening_of_a_call_is_as_long_as_it_is_certain(name: str) -> None:
    dialect = dialects.get(name)
    one, several = dialects.call_opening(dialect, [WEATHER]), dialects.call_opening(dialect, [WEATHER, NOW])
    written = dialect.encode_calls(CALLS[:1])
    assert written.startswith(several)
    assert written.startswith(one)
    assert one.removeprefix(several).startswith("get_weather")


@pytest.mark.clause("STR-4", "TOOL-11")
@pytest.mark.parametrize("name", ["qwen3", "qwen3-coder", "gemma4", "minimax-m3"])
def test_the_depth_of_a_required_recursive_value_is_limited(name: str) -> None:
    def tree(depth: int) -> dict[str, object]:
        return {"value": depth, "next": tree(depth - 1)} if depth else {"value": 0, "next": None}

    dialect = dialects.get(name)
    enforced = constraint(dialect, asked("tool", TREE, name="tree"))
    for depth, may in ((0, True), (4, True), (5, False)):
        call = ToolCall("toolu_01abcdefgh", "tree", {"root": tree(depth), "code": "ab-1"})
        assert accepts(enforced, dialect.encode_calls([call])) is may, depth
    # a call that is not forced may be deeper
    assert accepts(constraint(dialect, asked("auto", TREE)), dialect.encode_calls([call]))


@pytest.mark.clause("TOOL-11")
def test_large_bounds_are_enforced_only_if_a_tool_is_strict() -> None:
    rows = {"type": "array", "items": {"type": "integer"}, "maxItems": 40}
    few = {"type": "array", "items": {"type": "integer"}, "maxItems": 2}
    tool = Tool("fill", "", {"type": "object", "properties": {"rows": rows, "few": few}})
    hermes = dialects.get("hermes")
    loose, strict = (constraint(hermes, asked("auto", tool, strict=strict)) for strict in (False, True))
    many = hermes.encode_calls([ToolCall("t", "fill", {"rows": [1] * 41})])
    assert accepts(loose, many)
    assert not accepts(strict, many)
    assert not accepts(loose, hermes.encode_calls([ToolCall("t", "fill", {"few": [1] * 3})]))
