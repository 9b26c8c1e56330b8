"""The reader that the adapters of all engines share."""

from collections.abc import Iterator

import pytest

from dragoman.engines import Finish, FinishReason, OutputChunk, PrefillProgress
from dragoman.engines.reply_reader import ReplyReader
from dragoman.errors import EngineFailed

PROGRESS = PrefillProgress(total=4, cached=3, done=4)
STREAM = b"data: prefill\n\ndata: One\n\n: still here\n\ndata: two.\n\ndata: stop\n\ndata: more\n\ndata: [DONE]\n\n"


class WordReader(ReplyReader):
    """Reads events that are a word, the name of a finish reason, or "prefill"."""

    def read(self, payload: bytes) -> Iterator[OutputChunk]:
        """The chunk of a word."""
        word = payload.decode()
        if word == "prefill":
            yield OutputChunk(prefill=PROGRESS)
        elif word[0].isupper() or word.endswith("."):
            yield OutputChunk(word, self.new_tokens(self._output + 1))
        else:
            yield OutputChunk(finish=Finish(self.finish_reason(word), 3))


def read(data: bytes, *, silent: bool = False) -> list[OutputChunk]:
    reader = WordReader(silent=silent)
    return [*reader.feed(data), *reader.feed(data)]


def test_nothing_is_read_after_the_last_chunk() -> None:
    end = OutputChunk(finish=Finish(FinishReason.STOP, 3))
    assert read(STREAM) == [OutputChunk(prefill=PROGRESS), OutputChunk("One", 1), OutputChunk("two.", 1), end]


def test_a_silent_reply_has_progress_and_an_end_by_length_without_text() -> None:
    assert read(STREAM, silent=True) == [OutputChunk(prefill=PROGRESS), OutputChunk(finish=Finish(FinishReason.LENGTH, 3))]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"data: [DONE]\n\n", "without a finish reason"),
        (b"data: whim\n\n", "stopped for an unknown reason: whim"),
        (b'error: {"message": "Out of luck"}\n\n', "the engine failed: Out of luck"),
        (b"event: x\n\n", "broke its protocol"),
    ],
)
@pytest.mark.parametrize("silent", [False, True])
def test_a_failure_is_raised(data: bytes, message: str, silent: bool) -> None:
    with pytest.raises(EngineFailed, match=message):
        read(data, silent=silent)
