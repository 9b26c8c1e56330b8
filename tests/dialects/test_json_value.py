"""Any JSON of a model becomes valid JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.dialects.values.json_value import MAX_WORD, JsonValue
from splits import same_at_every_split

from .test_parser import ARGUMENTS

ALMOST_JSON = st.lists(
    st.sampled_from(
        [*"{}[]:,\"'\\ \n01-.x<", '"a":', '{"', '"}', "true", "None", "nul", "\\u00e9", "\\ud83e", "\\udd8a", "1e9"]
    )
).map("".join)


def converted(pieces: list[str]) -> tuple[JsonValue, str, str]:
    """The reader, the text that it wrote, and the text that it left unread."""
    value, unread = JsonValue([]), ""
    for piece in pieces:
        unread += piece
        unread = unread[value.read(unread, 0) :]
    return value, "".join(value.out), unread


@given(ARGUMENTS, st.booleans(), st.none() | st.integers(0, 3))
def test_well_formed_json_passes_byte_for_byte(arguments: dict[str, object], ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(arguments, ensure_ascii=ascii_only, indent=indent)

    for pieces in ([text], list(text)):
        value, written, unread = converted(pieces)
        assert (written, unread, value.done, value.repairs) == (text, "", True, [])


@given(ARGUMENTS)
def test_python_literals_become_the_same_values(arguments: dict[str, object]) -> None:
    _, written, _ = converted([repr(arguments).replace("\\x", "\\u00").replace("\\U", "\\u")])

    assert isinstance(json.loads(written), dict)


@given(ALMOST_JSON)
def test_a_closed_value_is_valid_json(text: str) -> None:
    value, _, unread = converted(["{" + text])
    in_pieces, _, unread_in_pieces = converted(["{", *text])
    value.close()
    in_pieces.close()

    assert isinstance(json.loads("".join(value.out)), dict)
    assert ("".join(in_pieces.out), unread_in_pieces, in_pieces.repairs) == ("".join(value.out), unread, value.repairs)


@pytest.mark.parametrize(
    ("number", "written"),
    [
        *(
            (word, "null")
            for word in ("NaN", "nan", "Infinity", "-Infinity", "inf", "+inf", "1e999", "-1E+999", "9" * 400 + ".5")
        ),
        *((".5", "0.5"), ("-.5", "-0.5"), ("5.", "5"), ("+1", "1"), ("+7.25", "7.25"), ("1_000", "1000"), ("1.e3", "1e3")),
        *(("0x1F", "31"), ("-0b11", "-3"), ("0o17", "15")),
        *(("007", '"007"'), ("-01", '"-01"'), ("00.5", '"00.5"')),
    ],
)
def test_a_number_outside_json_becomes_a_json_number_or_null_or_a_string(number: str, written: str) -> None:
    value = same_at_every_split(lambda pieces: converted(list(pieces))[1], f'{{"a": [{number}, {number}], "b": {number}}}')

    assert value == f'{{"a": [{written}, {written}], "b": {written}}}'


@pytest.mark.parametrize("number", ["0", "-0", "12", "-1.5", "1e5", "1E-7", "0.10", "123456789012345678901234567890", "1e308"])
def test_a_json_number_is_unchanged(number: str) -> None:
    value, written, _ = converted([f"[{number}]"])

    assert (written, value.repairs) == (f"[{number}]", [])


@pytest.mark.parametrize(
    "text", ["[1.2.3 ", "[- ", "[0x ", "[truth ", "[1 2", "{1", '{"a" 1', '{"a":, ', "[" + "9" * (MAX_WORD + 1)]
)
def test_text_that_is_not_json_is_not_guessed(text: str) -> None:
    value, _, _ = converted([text])

    assert value.stuck
    value.close()
    json.loads("".join(value.out))
