"""The options for another llama-server: mistakes are one line."""

import pytest

from cli.process import run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "vllm", "m", "--llama-server", "x"), "--llama-server is for the embedded engine."),
        (("--engine", "sglang", "--gpu-layers", "all"), "--gpu-layers is for the embedded engine."),
        (("--engine", "scripted", "m", "--", "--x"), "arguments after -- are for an engine that is started here."),
        (
            ("--llama-server", "/no/such/program"),
            "--llama-server: /no/such/program is neither a program nor the name of one on the path",
        ),
    ],
)
def test_a_wrong_option_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (2, f"Error: {message}\n")


def test_a_number_of_layers_is_a_number_or_a_word() -> None:
    done = run("--gpu-layers", "-1")
    assert done.returncode == 2
    assert "it is a number of layers, or auto, or all" in done.stderr
