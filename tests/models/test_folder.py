"""Tests where the tokenizer of a remote engine's model is found."""

from pathlib import Path

import pytest

from dragoman.errors import EngineFailed
from dragoman.models.folder import find_folder

from .fake_hub import Hub

REPO = "Owner/Small-Model"


def test_only_the_tokenizers_files_are_downloaded_for_a_remote_engine(hub: Hub) -> None:
    hub.add(REPO, "model.safetensors", "tokenizer.json", "chat_template.jinja", "config.json")
    folder = find_folder(REPO)
    assert sorted(path.name for path in folder.iterdir()) == ["chat_template.jinja", "config.json", "tokenizer.json"]
    assert find_folder(f"hf:{REPO}") == folder
    assert len(hub.downloads) == 3


def test_a_local_folder_is_used_as_it_is(tmp_path: Path) -> None:
    assert find_folder(str(tmp_path)) == tmp_path


def test_a_model_without_a_local_folder_needs_a_tokenizer(hub: Hub) -> None:
    with pytest.raises(
        EngineFailed, match=r"/models/large is not a folder on this machine: name the tokenizer's with --tokenizer"
    ):
        find_folder("/models/large")
    hub.add(REPO, "model.safetensors")
    with pytest.raises(EngineFailed, match=r"has no tokenizer\.json"):
        find_folder(REPO)
