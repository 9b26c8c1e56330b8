"""What the model wrote in one engine request."""

from dragoman.engines import OutputChunk
from dragoman.generation.written import Written

TEXTS = ["One", "", " two", ", ", "three"]


def test_its_end_has_the_last_characters_whatever_the_chunks() -> None:
    written, whole = Written(), "".join(TEXTS)
    for text in TEXTS:
        written.add(OutputChunk(text))
    assert written.length == len(whole)
    assert [written.end(length) for length in range(len(whole) + 2)] == [
        whole[len(whole) - min(length, len(whole)) :] for length in range(len(whole) + 2)
    ]
