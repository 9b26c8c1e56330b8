"""Properties of the parser that hold for any output."""

import json
import random
from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman import dialects
from dragoman.conversation import ToolCall
from dragoman.dialects.markers import Found, Markers
from dragoman.parts import CallDelta, CallEnd, CallStart, Text, Thinking
from splits import random_chunks, same_at_every_split

from .reading import read

DIALECTS = st.sampled_from(list(dialects.BY_NAME.values()))
TOOLS = ("add", "now")

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PUNCTUATION = st.sampled_from(
    ["<tool", "</", "<", "[", "`", '"', "'", "\n", "\n\n", " ", "<|im_end|>", "</tool_call>", "</think>"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS | PUNCTUATION,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | PUNCTUATION, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(WORDS, JSON, max_size=3)
NAMES = st.sampled_from([*TOOLS, "undeclared"])


@st.composite
def objects(draw: st.DrawFn) -> str:
    """A call, well-formed or malformed."""
    arguments = draw(ARGUMENTS)
    written = json.dumps(arguments, ensure_ascii=draw(st.booleans()), indent=draw(st.none() | st.just(1)))
    if draw(st.booleans()):
        written = draw(st.sampled_from([repr(arguments), json.dumps(written), "null", "5", written[:-1], written + "}"]))
    members = [f'"name": "{draw(NAMES)}"', f'"arguments": {written}']
    if draw(st.booleans()):
        members.reverse()
    body = "{" + ", ".join(members if draw(st.integers(0, 3)) else members[1:]) + "}"
    return body if draw(st.integers(0, 3)) else body[: draw(st.integers(0, len(body)))]


def markers_of(blocks: object) -> list[str]:
    """All strings that are markup in a dialect or in one of its blocks."""
    if isinstance(blocks, str):
        return [blocks.replace("{name}", "add")] if blocks else []
    if isinstance(blocks, tuple):
        return [marker for block in blocks for marker in markers_of(block)]
    names = [field.name for field in fields(blocks)] if is_dataclass(blocks) else []
    return markers_of(tuple(getattr(blocks, name) for name in names if name not in ("name", "template")))


@st.composite
def damaged(draw: st.DrawFn, dialect: dialects.Dialect) -> str:
    """Calls as the dialect writes them, with some characters missing."""
    calls = draw(st.lists(st.builds(ToolCall, st.just("id"), NAMES, ARGUMENTS), max_size=2))
    written = dialect.encode_calls(calls)
    start = draw(st.integers(0, len(written)))
    return written[:start] + written[start + draw(st.integers(0, 9)) :]


@st.composite
def outputs(draw: st.DrawFn) -> tuple[dialects.Dialect, str]:
    """A dialect, and an output made of its markers, of calls, of words, and of parts of these."""
    dialect = draw(DIALECTS)
    assert dialect.calls is not None
    markers = st.sampled_from(markers_of(dialect) or [""])
    block = st.tuples(
        st.sampled_from([dialect.calls.open, dialect.calls.open + "\n"]), objects(), st.sampled_from(["", dialect.calls.close])
    )
    piece = WORDS | PUNCTUATION | markers | block.map("".join) | objects() | damaged(dialect)
    return dialect, "".join(draw(st.lists(piece, max_size=8)))


@given(outputs(), st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_any_output_is_read_the_same_at_any_split(
    made: tuple[dialects.Dialect, str], thinking_open: bool, cut: bool, choose: random.Random
) -> None:
    dialect, output = made
    whole = read(dialect, [output], TOOLS, thinking_open=thinking_open, cut=cut)

    for pieces in (list(output), random_chunks(output, choose), random_chunks(output, choose)):
        assert read(dialect, pieces, TOOLS, thinking_open=thinking_open, cut=cut) == whole


@pytest.mark.clause("TOOL-17", "SSE-10")
@given(outputs(), st.booleans())
def test_arguments_are_a_json_object_unless_the_limit_cut_them(made: tuple[dialects.Dialect, str], cut: bool) -> None:
    dialect, output = made
    for part in read(dialect, [output], TOOLS, cut=cut).parts:
        if "call" in part:
            assert part["call"] in TOOLS
            if part["complete"] or not cut:
                assert isinstance(json.loads(part["arguments"]), dict)


@given(DIALECTS, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<")), st.randoms(use_true_random=False))
def test_text_without_markup_passes_byte_for_byte(dialect: dialects.Dialect, text: str, choose: random.Random) -> None:
    reading = read(dialect, random_chunks(text, choose), TOOLS)

    assert reading.parts == ([{"text": text}] if text else [])
    assert reading.repairs == []


@given(st.lists(st.tuples(st.sampled_from(TOOLS), ARGUMENTS), min_size=1, max_size=3))
def test_well_formed_calls_arrive_byte_for_byte(made: list[tuple[str, dict[str, object]]]) -> None:
    written = [(name, json.dumps(arguments, ensure_ascii=False)) for name, arguments in made]
    output = "\n".join(f'<tool_call>\n{{"name": "{name}", "arguments": {text}}}\n</tool_call>' for name, text in written)

    reading = read(dialects.get("qwen3"), [output], TOOLS)

    assert reading.parts == [{"call": name, "arguments": text, "complete": True} for name, text in written]
    assert reading.repairs == []


def test_arguments_stream_as_they_are_read() -> None:
    parser = dialects.get("qwen3").parser({"write": {}}, thinking_open=False)

    assert parser.feed('<tool_call>\n{"name": "wri') == []
    assert parser.feed('te", "argu') == [CallStart("write")]
    assert parser.feed('ments": {"content": "one') == [CallDelta('{"content": "one')]
    assert parser.feed(" two\\") == [CallDelta(" two")]
    assert parser.feed("n") == [CallDelta("\\n")]


def test_a_call_with_its_name_outside_json_begins_with_the_name() -> None:
    parser = dialects.get("ministral3").parser({"write": {}}, thinking_open=False)

    assert parser.feed("[TOOL_CALLS]wri") == []
    assert parser.feed("te[ARGS]") == [CallStart("write")]
    assert parser.feed('{"content": "one') == [CallDelta('{"content": "one')]
    assert parser.feed(' two"}') == [CallDelta(' two"}'), CallEnd()]


def test_a_bare_call_begins_with_its_first_argument() -> None:
    parser = dialects.get("llama3-json").parser({"write": {}}, thinking_open=False)

    assert parser.feed('{"name": "write", "parameters": {') == []
    assert parser.feed('"content": "one') == [CallStart("write"), CallDelta('{"content": "one')]
    assert parser.feed(" two") == [CallDelta(" two")]


@pytest.mark.parametrize(
    ("dialect", "output", "id_"),
    [
        ("kimi-k2", "<|tool_call_begin|>functions.now:7<|tool_call_argument_begin|>{}<|tool_call_end|>", "functions.now:7"),
        ("mistral-v11", "[TOOL_CALLS]now[CALL_ID]a1b2c3d4e[ARGS]{}", "a1b2c3d4e"),
        ("ministral3", "[TOOL_CALLS]now[CALL_ID]a1b2c3d4e[ARGS]{}", "a1b2c3d4e"),
        ("mistral-v3", '[TOOL_CALLS][{"id": "a1b2c3d4e", "name": "now"}]', "a1b2c3d4e"),
        ("command-r7b", '<|START_ACTION|>[{"tool_call_id": "3", "tool_name": "now"}]<|END_ACTION|>', "3"),
        ("hermes", '<tool_call>{"id": "x", "name": "now"}</tool_call>', ""),
    ],
)
def test_an_id_that_comes_before_the_arguments_is_passed_on(dialect: str, output: str, id_: str) -> None:
    parts = dialects.get(dialect).parser({"now": {}}, thinking_open=False).feed(output)

    assert parts[0] == CallStart("now", id_)


def test_text_and_thinking_stream_as_they_are_read() -> None:
    parser = dialects.get("qwen3").parser({"write": {}}, thinking_open=True)

    assert parser.thinking
    assert parser.feed("\nWell") == [Thinking("Well")]
    assert parser.feed(" then\n") == [Thinking(" then")]
    assert parser.feed("so") == [Thinking("\nso")]
    parser.feed("\n</think>")
    assert not parser.thinking
    assert parser.feed("\n\nYes") == [Text("Yes")]
    assert parser.feed(", ") == [Text(",")]
    assert parser.feed("sir") == [Text(" sir")]


def test_the_longest_marker_wins_at_every_split() -> None:
    markers = Markers(["[CALL]", "[CALL] [", "x"])

    def find(pieces: list[str]) -> tuple[list[str], str]:
        found_markers, text = [], ""
        for index, piece in enumerate(pieces):
            text += piece
            while (found := markers.find(text, 0, final=index == len(pieces) - 1)) and found.marker:
                found_markers.append(found.marker)
                text = text[found.start + len(found.marker) :]
        return found_markers, text

    assert same_at_every_split(find, "a[CALL]b[CALL] [c[CAL[CALL]") == (["[CALL]", "[CALL] [", "[CALL]"], "")


def test_an_empty_set_of_markers_finds_nothing() -> None:
    assert Markers([]).find("<think>", 0, final=False) is None
    assert Markers(["<a>"]).find("b<a", 0, final=False) == Found(1, "")


SPANS = [
    dialect
    for dialect in dialects.BY_NAME.values()
    if dialect.reasoning and dialect.reasoning.opens and not dialect.reasoning.word_like_markers and not dialect.frame
]


@pytest.mark.parametrize("dialect", SPANS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(("before", "after"), [("a  ", "  b"), ("a ", "b"), ("a", " b\nc"), ("a\n", "\n\nb"), ("  a.", "b  ")])
def test_text_around_empty_markup_keeps_its_bytes(dialect: dialects.Dialect, before: str, after: str) -> None:
    assert dialect.reasoning is not None
    assert dialect.calls is not None
    empty = [f"{dialect.reasoning.opens[0]}{space}{dialect.reasoning.closes[0]}" for space in ("", "\n\n")]
    sections = [*dialect.calls.section_opens[:1], *dialect.calls.section_closes[:1]]

    for dropped in (*empty, dialect.reasoning.closes[0], dialect.calls.close, "".join(sections)):
        reading = same_at_every_split(lambda pieces: read(dialect, list(pieces), TOOLS), before + dropped + after)
        assert reading.parts == [{"text": before + after}]


@pytest.mark.parametrize(
    "dialect", [d for d in dialects.BY_NAME.values() if d.calls and d.calls.section_opens], ids=lambda dialect: dialect.name
)
def test_the_tags_of_a_section_are_not_shown_around_an_undeclared_call(dialect: dialects.Dialect) -> None:
    assert dialect.calls is not None
    calls = [ToolCall("id", "undeclared", {"a": 1}), ToolCall("id", "undeclared", {})]
    section = dialect.encode_calls(calls)

    reading = same_at_every_split(lambda pieces: read(dialect, list(pieces), TOOLS), f"One.{section}Two.")

    [shown] = reading.parts
    for tag in (*dialect.calls.section_opens, *dialect.calls.section_closes):
        assert tag not in shown["text"]
        section = section.replace(tag, "")
    assert shown["text"] == f"One.{section}Two."


@pytest.mark.parametrize("dialect", [d for d in dialects.BY_NAME.values() if not d.frame], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    "after",
    [
        "# one\n\n- two\n",
        *(pytest.param(after, marks=pytest.mark.slow) for after in ("Done.\nMore.", "Done.", "  two\n  lines")),
    ],
)
def test_text_right_after_calls_keeps_its_bytes(dialect: dialects.Dialect, after: str) -> None:
    output = dialect.encode_calls([ToolCall("id", "now", {}), ToolCall("id", "add", {"a": 1})]).rstrip()

    reading = same_at_every_split(lambda pieces: read(dialect, list(pieces), TOOLS), output + after)

    assert [part.get("call") for part in reading.parts] == ["now", "add", None]
    assert reading.parts[-1] == {"text": after}
