"""The fixtures of the engines' tests, for the default model, and a fake Hub."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from engines.conftest import engine, model

from . import fake_hub
from .fake_hub import Hub

__all__ = ["engine", "model"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A fake Hub, an empty cache and no token, set in the library's constants, which it reads once from the environment."""
    with fake_hub.serve() as hub:
        fake_hub.point_to(hub.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield hub
