"""Tests how a model on the Hub is chosen and downloaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from dragoman.models.resolve import resolve

from .fake_hub import TOKEN, Hub, point_to
from .refusal import refusal

REPO = "Owner/Small-Model-GGUF"

UNREACHABLE = "http://127.0.0.1:9"


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
