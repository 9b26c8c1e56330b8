"""Bodies from hell: whatever a client sends is read or refused, and never anything else."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.api.anthropic.request import CountTokensRequest, MessagesRequest

from .bodies import assistant, body, call, complaint, result, tool, user
from .mutated_bodies import ODDITIES, VALID, mutated


def test_the_body_that_is_mutated_below_is_a_valid_one():
    assert complaint(VALID) == ""
    assert complaint(VALID, CountTokensRequest) == ""


@pytest.mark.clause("ERR-1", "ERR-9", "IN-12")
def test_a_thousand_mutants_of_a_valid_body_are_read_or_refused():
    refused = 0
    for seed in range(1000):
        mutant = mutated(seed)
        refused += bool(complaint(mutant))
        complaint(mutant, CountTokensRequest)
    assert 500 < refused < 1000  # the mutations bite, and are not all the same


@pytest.mark.clause("ERR-1", "ERR-9")
@given(st.data())
def test_a_valid_body_with_its_bytes_changed_is_read_or_refused(data: st.DataObject):
    source = bytearray(json.dumps(VALID, ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(source)))
        source[begin : begin + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=4))
    complaint(bytes(source))


@pytest.mark.clause("ERR-1", "ERR-9")
@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(MessagesRequest.model_fields)),
        st.recursive(
            st.sampled_from(ODDITIES), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner)
        ),
    )
)
def test_any_json_in_any_field_is_read_or_refused(fields: dict[str, Any]):
    complaint(VALID | fields)


@pytest.mark.clause("ERR-1")
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, "1" + "0" * 4000])
@pytest.mark.parametrize("field", ["max_tokens", "temperature", "top_p", "top_k", "input", "schema"])
def test_a_number_that_is_none_or_far_too_large_is_read_or_refused(field: str, number: str):
    places = {
        "input": body(user("Hi"), assistant(call("a", arguments={"n": "NUMBER"})), user(result("a"))),
        "schema": body(tools=[tool(schema={"type": "object", "maxProperties": "NUMBER"})]),
    }
    source = places.get(field) or body(**{field: "NUMBER"})
    complaint(json.dumps(source).replace('"NUMBER"', number).encode())
