"""The image projector of a model: beside it, in its repository, or where the user says."""

from pathlib import Path

import pytest

from dragoman.models.resolve import ModelFile, UnusableModel, resolve

from .fake_hub import Hub, model
from .refusal import refusal
from .test_hub import MANY, REPO


def folder_of(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(model(path.name))
    return paths


def test_the_projector_beside_the_only_model_of_a_folder_is_taken(tmp_path: Path) -> None:
    path, _, _, projector = folder_of(tmp_path, "Small-Q8_0.gguf", "Small-Q4_0.gguf", "imatrix.gguf", "mmproj-F16.gguf")
    assert resolve(str(path)) == ModelFile(path, "Small", projector)


def test_among_other_models_only_a_projector_of_that_name_is_taken(tmp_path: Path) -> None:
    one, other, projector, _ = folder_of(
        tmp_path, "One-Q8_0.gguf", "Other-Q8_0.gguf", "mmproj-One-F16.gguf", "mmproj-Third-F16.gguf"
    )
    assert resolve(str(one)).projector == projector
    assert resolve(str(other)).projector is None


def test_of_several_projectors_the_one_of_the_usual_precision_is_taken(tmp_path: Path) -> None:
    path, *projectors = folder_of(
        tmp_path, "M.gguf", "mmproj-BF16.gguf", "mmproj-M-F32.gguf", "mmproj-M-f16.gguf", "mmproj.gguf"
    )
    assert resolve(str(path)).projector == projectors[2]


def test_the_user_can_name_the_projector_or_none(tmp_path: Path) -> None:
    path, _, other = folder_of(tmp_path, "M.gguf", "mmproj-F16.gguf", "other.gguf")
    other.rename(tmp_path / "eyes")
    assert resolve(str(path), str(tmp_path / "eyes")).projector == tmp_path / "eyes"
    assert resolve(str(path), "none").projector is None


def test_a_projector_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path, projector = folder_of(tmp_path, "M.gguf", "mmproj-F16.gguf")
    projector.write_bytes(b"<html>")
    assert "mmproj-F16.gguf is not a GGUF file" in refusal(str(path))
    with pytest.raises(UnusableModel, match="no such file"):
        resolve(str(path), str(tmp_path / "absent"))
    assert resolve(str(path), "none").projector is None


def test_the_projector_of_a_repository_is_downloaded_with_the_model(hub: Hub) -> None:
    hub.add(REPO, *MANY)
    weights = resolve(f"hf:{REPO}")
    assert weights.projector is not None
    assert weights.projector.name == "mmproj-Small-F16.gguf"
    assert len(hub.downloads) == 2
    hub.add("Owner/Other", *MANY)
    assert resolve("hf:Owner/Other", "none").projector is None
    assert len(hub.downloads) == 3
