"""The options for another llama-server: mistakes are one line."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dragoman.cli import main
from vision_model import vision_model

from .process import serving


def refused(*arguments: str) -> Result:
    done = CliRunner().invoke(main, ["serve", *arguments])
    assert done.exit_code == 2
    return done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "vllm", "m", "--llama-server", "x"), "--llama-server is for the embedded engine."),
        (("--engine", "sglang", "--gpu-layers", "all"), "--gpu-layers is for the embedded engine."),
        (("--engine", "sglang", "--threads", "2"), "--threads is for the embedded engine."),
        (("--engine", "sglang", "--speculate", "off"), "--speculate is for the embedded engine."),
        (("--speculate", "on"), "--speculate is auto, off, ngram or a draft model: on: no such file"),
        (("--engine", "scripted", "m", "--", "--x"), "arguments after -- are for an engine that is started here."),
        (
            ("--llama-server", "/no/such/program"),
            "--llama-server: /no/such/program is neither a program nor the name of one on the path",
        ),
    ],
)
def test_a_wrong_option_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    assert refused(*arguments).stderr == f"Error: {message}\n"


def test_a_number_of_layers_is_a_number_or_a_word() -> None:
    assert "it is a number of layers, or auto, or all" in refused("--gpu-layers", "-1").stderr


@pytest.mark.slow
def test_llama_computes_with_as_many_threads_as_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(f'[tiny]\nsource = "{vision_model()}"\nmmproj = "none"\nthreads = 3\n')
    for arguments in ((str(vision_model()), "--mmproj", "none", "--threads", "3"), ("--models", str(file), "--threads", "2")):
        with serving(*arguments, "--llama-server", "none") as server:
            assert re.search(r"^  computes: CPU .*, 3 threads$", server.banner, re.MULTILINE)
