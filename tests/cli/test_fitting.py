"""What is logged of the windows that are fitted to the memory."""

import logging
from pathlib import Path

import pytest

from dragoman.cli.fitting import fitted, wish
from dragoman.models.memory import Memory
from dragoman.models.resolve import ModelFile
from models.fake_hub import model


@pytest.fixture
def file(tmp_path: Path) -> ModelFile:
    """A model that says nothing of its shape."""
    path = tmp_path / "m.gguf"
    path.write_bytes(model("m"))
    return ModelFile(path, "m")


def test_the_choice_is_logged_with_the_memory(file: ModelFile, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        fitted([("m", file, wish(None, None))], Memory(40 * 10**9))
    (line,) = caplog.messages
    assert line == "m: a window of 65,536 tokens for each of 2 conversations, about 17.3 GB of 40.0 GB of memory"


def test_a_window_that_is_too_small_for_an_agent_is_a_warning(file: ModelFile, caplog: pytest.LogCaptureFixture) -> None:
    fitted([("m", file, wish(None, None))], Memory(2 * 10**9))
    (line,) = caplog.messages
    assert line.startswith("m: memory for more than 7,168 tokens is lacking, and coding agents need about 48,000")


def test_a_window_that_the_user_chose_is_not_a_warning(file: ModelFile, caplog: pytest.LogCaptureFixture) -> None:
    (fit,) = fitted([("m", file, wish(8_192, 3))], Memory(2 * 10**9))
    assert (fit.context, fit.parallel) == (8_192, 3)
    assert caplog.messages == []
