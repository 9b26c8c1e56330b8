"""GPUs that the kernel shows, and what is said of one that the engine does not use."""

import os
from pathlib import Path

import pytest

from dragoman.engines.llama.gpus import INSTALL, JOIN_GROUPS, Gpu, find_gpus, unused_gpu
from dragoman.engines.llama.program import LlamaProgram

WITHOUT_DEVICE = LlamaProgram("/opt/llama-server", "1", (), "")


def render_node(root: Path, number: int, vendor: str) -> Path:
    folder = root / f"sys/class/drm/renderD{number}/device"
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(f"{vendor}\n")
    node = root / f"dev/dri/renderD{number}"
    node.parent.mkdir(parents=True, exist_ok=True)
    node.touch()
    return node


@pytest.mark.parametrize(("id_", "vendor"), [("0x1002", "AMD"), ("0x8086", "Intel"), ("0x10de", "NVIDIA")])
def test_a_render_node_is_a_gpu_of_its_vendor(tmp_path: Path, id_: str, vendor: str) -> None:
    node = render_node(tmp_path, 128, id_)
    assert find_gpus(tmp_path) == [Gpu(vendor, node)]


def test_nvidias_own_device_file_comes_first_and_once(tmp_path: Path) -> None:
    render_node(tmp_path, 128, "0x10de")
    node = render_node(tmp_path, 129, "0x8086")
    (tmp_path / "dev/nvidia0").touch()
    (tmp_path / "dev/nvidiactl").touch()
    assert find_gpus(tmp_path) == [Gpu("NVIDIA", tmp_path / "dev/nvidia0"), Gpu("Intel", node)]


def test_other_displays_are_not_gpus(tmp_path: Path) -> None:
    render_node(tmp_path, 128, "0x1af4")
    assert find_gpus(tmp_path) == []
    assert unused_gpu(None, find_gpus(tmp_path)) is None


def test_what_mends_it_depends_on_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    gpu = Gpu("AMD", render_node(tmp_path, 128, "0x1002"))
    for program, cause in ((None, "the llama.cpp in the wheel has no back end"), (WITHOUT_DEVICE, "/opt/llama-server has no")):
        said = unused_gpu(program, [gpu])
        assert said is not None
        assert said.startswith("AMD GPU")
        assert cause in said
        assert said.endswith(INSTALL)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert (unused_gpu(None, [gpu]) or "").endswith("dragoman serve --llama-server PATH")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert (unused_gpu(WITHOUT_DEVICE, [gpu]) or "").endswith(JOIN_GROUPS)


def test_nothing_is_said_where_the_operator_keeps_the_model_on_the_cpu(tmp_path: Path) -> None:
    program = LlamaProgram("/opt/llama-server", "1", (("CUDA0", "a GPU"),), "")
    assert unused_gpu(program, [Gpu("NVIDIA", tmp_path)]) is None
