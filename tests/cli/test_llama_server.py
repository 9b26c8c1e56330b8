"""The options for another llama-server: mistakes are one line."""

import pytest
from click.testing import CliRunner, Result

from dragoman.cli import main


def refused(*arguments: str) -> Result:
    done = CliRunner().invoke(main, ["serve", *arguments])
    assert done.exit_code == 2
    return done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "vllm", "m", "--llama-server", "x"), "--llama-server is for the embedded engine."),
        (("--engine", "sglang", "--gpu-layers", "all"), "--gpu-layers is for the embedded engine."),
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
