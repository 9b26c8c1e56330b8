"""Passages of documents, and the marks by which an answer cites them."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.conversation.citations import CitationKind, CitedText, Passage, PassageIndex, merged, sentences

TEXT = 'It rains. "Really?" Yes, at 3.14 p.m. today!\n\nFine  \nEnd of it。次の文。'


def passages(text: str, kind: CitationKind = CitationKind.CHARACTERS, index: int = 0) -> list[Passage]:
    return [Passage(kind, index, start, end, text[start:end]) for start, end in sentences(text)]


def test_sentences_and_lines_are_passages() -> None:
    assert [TEXT[start:end] for start, end in sentences(TEXT)] == [
        "It rains. ",
        '"Really?" ',
        "Yes, at 3.14 p.m. ",
        "today!\n\n",
        "Fine  \n",
        "End of it。",
        "次の文。",
    ]


@given(st.text(alphabet="ab.!?\n \"')。", max_size=60))
def test_the_passages_of_a_text_are_the_text(text: str) -> None:
    spans = list(sentences(text))
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(start < end for start, end in spans)


def test_a_very_long_text_without_sentences_is_split_in_linear_time() -> None:
    text = "." * 1_000_000 + " " * 1_000_000
    assert len(list(sentences(text))) == 1


def test_neighbours_are_one_citation_that_is_verbatim() -> None:
    known = passages(TEXT)
    (cited,) = merged([2, 3], known)
    assert cited.text == TEXT[cited.start : cited.end] == '"Really?" Yes, at 3.14 p.m. '
    assert [each.text for each in merged([3, 2], known)] == ["Yes, at 3.14 p.m. ", '"Really?" ']
    assert [each.text for each in merged([1, 1, 99, 0], known)] == ["It rains. "]


def test_passages_of_two_documents_or_pages_are_two_citations() -> None:
    other = [*passages("One. "), *passages("Two. ", index=1)]
    assert len(merged([1, 2], other)) == 2
    page = Passage(CitationKind.PAGES, 0, 1, 2, "One. ")
    pages = [page, Passage(CitationKind.PAGES, 0, 1, 2, "Two. "), Passage(CitationKind.PAGES, 0, 2, 3, "Three. ")]
    assert [(each.start, each.end, each.text) for each in merged([1, 2, 3], pages)] == [
        (1, 2, "One. Two. "),
        (2, 3, "Three. "),
    ]


def test_the_citations_of_an_earlier_answer_are_marks_again() -> None:
    known = [*passages(TEXT), Passage(CitationKind.BLOCKS, 1, 0, 1, "block"), Passage(CitationKind.PAGES, 2, 4, 5, "page")]
    for numbers in ([1], [2, 3], [3, 4, 5], [8], [9]):
        said = CitedText([("So.", merged(numbers, known)), (" Well.", ())])
        assert said.marked(PassageIndex(known)) == f"So.{''.join(f'[^{number}]' for number in numbers)} Well."
    assert CitedText([("So.", merged([1], known))]).marked(PassageIndex(())) == "So."
