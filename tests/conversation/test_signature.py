"""Signatures of reasoning: the same in every process, containing the text that was not shown."""

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation.signature import recover, sign

THOUGHT = "The user greets me. 🦊\n\nI greet back."


@pytest.mark.clause("THK-7", "THK-9")
def test_a_signature_is_the_same_in_every_process() -> None:
    assert sign(THOUGHT, shown=True) == "dgm1.KEjnhF-CI_2SAeeSmM3KiQ=="


@pytest.mark.clause("THK-7")
@settings(deadline=None)
@given(st.text(), st.text())
def test_signatures_are_never_empty_and_differ_where_the_texts_do(one: str, other: str) -> None:
    for shown in (True, False):
        assert sign(one, shown=shown)
        assert (sign(one, shown=shown) == sign(other, shown=shown)) == (one == other)


@pytest.mark.clause("THK-9")
@settings(deadline=None)
@given(st.text(min_size=1))
def test_text_that_was_not_shown_is_recovered_from_its_signature(thought: str) -> None:
    assert recover(sign(thought, shown=False)) == thought


@pytest.mark.clause("THK-9")
def test_a_signature_of_shown_text_contains_no_text() -> None:
    assert recover(sign(THOUGHT, shown=True)) is None


@pytest.mark.clause("THK-11")
@settings(deadline=None)
@given(
    st.text() | st.text().map("dgm1.".__add__) | st.binary().map(lambda junk: "dgm1." + base64.urlsafe_b64encode(junk).decode())
)
def test_a_foreign_signature_gives_no_text_and_raises_nothing(signature: str) -> None:
    assert recover(signature) is None


@pytest.mark.clause("THK-11")
@pytest.mark.parametrize("at", range(0, 60, 7))
def test_a_damaged_signature_gives_no_text(at: int) -> None:
    signature = sign(THOUGHT, shown=False)
    damaged = signature[:at] + ("A" if signature[at] != "A" else "B") + signature[at + 1 :]
    assert recover(damaged) is None
    assert recover(signature[:-5]) is None


@pytest.mark.clause("THK-11")
@pytest.mark.parametrize("added", ["=", "==x", "\n", " ", "AAAA", "=AAA", "é"])
def test_only_the_spelling_that_was_written_is_a_signature(added: str) -> None:
    for thought in (THOUGHT, THOUGHT + ".", THOUGHT + ".."):
        signature = sign(thought, shown=False)
        assert recover(signature + added) is None
        assert recover(signature[:9] + added + signature[9:]) is None


@pytest.mark.clause("THK-11")
def test_bits_after_the_last_byte_make_another_signature() -> None:
    signature = sign("a", shown=False)
    assert signature.endswith("E=")  # 17 bytes: two of its bits belong to no byte
    assert recover(signature[:-2] + "F=") is None


@pytest.mark.clause("THK-11")
def test_a_forged_signature_over_invalid_utf8_gives_no_text() -> None:
    junk = b"\xed\xa0\x80"  # a lone surrogate: it could be neither tokenized nor sent
    digest = hashlib.blake2b(junk, digest_size=16, key=b"dragoman thinking signature").digest()
    assert recover("dgm1." + base64.urlsafe_b64encode(digest + junk).decode()) is None


@pytest.mark.clause("THK-9", "THK-11")
def test_a_signature_never_expands_into_a_text_longer_than_itself() -> None:
    thought = "again and " * 10_000
    assert len(sign(thought, shown=False)) > len(thought)
