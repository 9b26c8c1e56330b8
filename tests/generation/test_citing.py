"""Marks in the text of an answer become citations, whose text is always in the document."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.conversation import AnswerPolicy
from dragoman.conversation.citations import CitationKind, Passage, sentences
from dragoman.generation.citing import CitationReader
from dragoman.generation.endings import EndCause
from dragoman.generation.output_policies import OutputPolicies
from dragoman.parts import CallStart, Cited, Part, Text, Thinking

DOCUMENT = "The ferry runs daily. It costs 3 euros. Dogs are welcome on board! All can swim."
PASSAGES = [Passage(CitationKind.CHARACTERS, 0, start, end, DOCUMENT[start:end], "Ferry") for start, end in sentences(DOCUMENT)]


def read(*pieces: str) -> list[tuple[str, Sequence[str]]]:
    """The text in blocks, with the texts that each cites."""
    reader = CitationReader(PASSAGES)
    parts = [part for piece in pieces for part in reader.feed(piece)] + list(reader.flush())
    blocks: list[tuple[str, Sequence[str]]] = []
    for part in parts:
        if isinstance(part, Cited):
            blocks.append((part.text, [each.text for each in part.citations]))
        elif blocks and not blocks[-1][1]:
            blocks[-1] = (blocks[-1][0] + part.text, [])
        else:
            blocks.append((part.text, []))
    return blocks


CASES: dict[str, tuple[str, list[tuple[str, list[str]]]]] = {
    "no mark": ("It may rain. Take care.", [("It may rain. Take care.", [])]),
    "a mark after its sentence": (
        "Hello. You pay 3 euros.[^2] Bye.",
        [("Hello. ", []), ("You pay 3 euros.", ["It costs 3 euros. "]), (" Bye.", [])],
    ),
    "a mark before the full stop": (
        "You pay 3 euros [^2]. Bye.",
        [("You pay 3 euros.", ["It costs 3 euros. "]), (" Bye.", [])],
    ),
    "several marks": (
        "It runs and costs.[^1][^2] Dogs come, [^3], [^1].",
        [
            ("It runs and costs.", ["The ferry runs daily. It costs 3 euros. "]),
            (" Dogs come.", ["Dogs are welcome on board! ", "The ferry runs daily. "]),
        ],
    ),
    "a mark of nothing": ("So it is.[^9] Yes.[^0]", [("So it is. Yes.", [])]),
    "one of two exists": ("So it is.[^9][^1]", [("So it is.", ["The ferry runs daily. "])]),
    "a mark alone": ("[^1]", []),
    "what only looks like a mark": ("a[^b] [^] [1] [^1", [("a[^b] [^] [1] [^1", [])]),
    "a whole passage without a mark": (
        "I quote: hm.\nThe ferry runs daily. So.",
        [("I quote: hm.\n", []), ("The ferry runs daily. ", ["The ferry runs daily. "]), ("So.", [])],
    ),
    "too short to be a quotation": ("All can swim.", [("All can swim.", [])]),
    "a list": (
        "- one\n- two[^1]\n- three",
        [("- one\n", []), ("- two", ["The ferry runs daily. "]), ("\n- three", [])],
    ),
}


@pytest.mark.clause("IN-5", "SSE-13")
@pytest.mark.parametrize(("text", "blocks"), CASES.values(), ids=CASES)
def test_a_mark_cites_the_sentence_before_it(text: str, blocks: list[tuple[str, list[str]]]) -> None:
    assert read(text) == blocks
    assert read(*text) == blocks
    for place in range(len(text)):
        assert read(text[:place], text[place:]) == blocks


@given(st.lists(st.sampled_from(["The ferry runs daily.", " ", "\n", "a", "[^1]", "[^2]", "[^77]", "[", "^", "]", "1", ". "])))
def test_nothing_but_marks_is_lost_and_every_citation_is_verbatim(pieces: list[str]) -> None:
    reader = CitationReader(PASSAGES)
    parts = [part for piece in pieces for part in reader.feed(piece)] + list(reader.flush())
    for part in parts:
        for citation in part.citations if isinstance(part, Cited) else ():
            assert citation.text == DOCUMENT[citation.start : citation.end]
    shown = "".join(part.text for part in parts)
    kept = [character for character in "".join(pieces) if character not in " ,[^]0123456789."]
    assert [character for character in shown if character not in " ,[^]0123456789."] == kept


def test_long_text_without_sentences_is_sent_under_way() -> None:
    reader = CitationReader(PASSAGES)
    sent = [part for _ in range(50) for part in reader.feed("word " * 20)]
    assert sum(len(part.text) for part in sent) > 3_000
    assert sum(len(part.text) for part in [*sent, *reader.flush()]) == 5_000


def applied(*parts: Part, stops: Sequence[str] = ()) -> tuple[list[Part], OutputPolicies]:
    policies = OutputPolicies(AnswerPolicy(passages=PASSAGES, stop_sequences=stops))
    shown = list(policies.apply(parts))
    if policies.end_cause is None:
        shown += policies.flush()
    return shown, policies


@pytest.mark.clause("SEQ-1", "SEQ-4")
@pytest.mark.parametrize("text", ["It runs.[^1] STOP more", "It runs.[^1] Well. STOP", "It STOP runs.[^1]"])
def test_a_stop_sequence_ends_text_that_could_be_cited(text: str) -> None:
    shown, policies = applied(Text(text), stops=["STOP"])
    assert (policies.end_cause, policies.matched) == (EndCause.STOP_SEQUENCE, "STOP")
    assert "STOP" not in "".join(part.text for part in shown if isinstance(part, Text | Cited))


def test_text_that_is_held_back_is_sent_before_a_call_and_before_reasoning() -> None:
    for after in (CallStart("now"), Thinking("Hm.")):
        shown, _ = applied(Text("It runs."), after)
        assert [type(part) for part in shown] == [Text, type(after)]
        shown, _ = applied(Text("It runs.[^1]"), after)
        assert [type(part) for part in shown] == [Cited, type(after)]


def test_space_after_a_citation_is_no_block_of_its_own() -> None:
    shown, _ = applied(Text("It runs.[^1]\n\nIt costs.[^2]\n"))
    assert [part.text for part in shown if isinstance(part, Text | Cited)] == ["It runs.", "\n\nIt costs."]
