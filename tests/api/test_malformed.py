"""Malformed bodies: every body is either accepted or refused with `InvalidRequest`."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.api.anthropic.request import CountTokensRequest, MessagesRequest

from .bodies import assistant, body, call, error_of, result, tool, user
from .mutated_bodies import ODDITIES, VALID, mutated


def test_the_body_that_is_mutated_is_valid() -> None:
    assert error_of(VALID) == ""
    assert error_of(VALID, CountTokensRequest) == ""


@pytest.mark.clause("ERR-1", "ERR-9", "IN-12")
def test_a_thousand_mutations_of_a_valid_body_are_accepted_or_refused() -> None:
    refused = 0
    for seed in range(1000):
        changed = mutated(seed)
        refused += bool(error_of(changed))
        error_of(changed, CountTokensRequest)
    assert 500 < refused < 1000  # most mutations make the body invalid, but not all


@pytest.mark.clause("ERR-1", "ERR-9")
@given(st.data())
def test_a_valid_body_with_changed_bytes_is_accepted_or_refused(data: st.DataObject) -> None:
    source = bytearray(json.dumps(VALID, ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(source)))
        source[begin : begin + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=4))
    error_of(bytes(source))


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
def test_any_json_in_any_field_is_accepted_or_refused(fields: dict[str, Any]) -> None:
    error_of(VALID | fields)


@pytest.mark.clause("ERR-1")
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, "1" + "0" * 4000])
@pytest.mark.parametrize("field", ["max_tokens", "temperature", "top_p", "top_k", "input", "schema"])
def test_numbers_that_are_not_finite_or_far_too_large_are_accepted_or_refused(field: str, number: str) -> None:
    places = {
        "input": body(user("Hi"), assistant(call("a", arguments={"n": "NUMBER"})), user(result("a"))),
        "schema": body(tools=[tool(schema={"type": "object", "maxProperties": "NUMBER"})]),
    }
    source = places.get(field) or body(**{field: "NUMBER"})
    error_of(json.dumps(source).replace('"NUMBER"', number).encode())
