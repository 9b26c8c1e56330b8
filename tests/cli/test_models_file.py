"""The file of several models: what is read, and what is refused with its place."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from dragoman.cli import main
from dragoman.cli.durations import parse_keep_alive, shown_duration
from dragoman.cli.models_file import ModelTable, keep_alive, memory, read_models
from dragoman.toml_tables import UnusableFile

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the file; returns its path."""

    def write(text: str) -> Path:
        path = tmp_path / "models.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(UnusableFile) as refused:
        read_models(path)
    text = str(refused.value)
    assert len(text.splitlines()) == 1
    return text.removeprefix(f"{path}")


def test_a_table_is_a_model_in_the_order_of_the_file(write: Write, tmp_path: Path) -> None:
    path = write("""
        [big]
        source = "hf:Owner/Repo:Q4_K_M"
        aliases = ["opus"]
        tier = ["opus", "sonnet"]
        display_name = "The big one"
        keep_alive = "5m"
        memory = "20GB"
        gpu_layers = 12
        threads = 3
        speculate = "draft.gguf"
        window = 65536

        ["org/small"]
        source = "models/small.gguf"
        mmproj = "models/mmproj.gguf"
        llama_server = "bin/llama-server"
        tier = "haiku"
        speculate = "ngram"

        [remote]
        engine = "vllm"
        url = "http://gpu:8000"
        source = "org/model"
        script = "/absolute.jsonl"
        mmproj = "none"
        llama_server = "llama-server"
    """)
    tables = read_models(path)
    assert list(tables) == ["big", "org/small", "remote"]
    big, small, remote = tables.values()
    assert (big.source, big.aliases, big.tiers, big.layers) == ("hf:Owner/Repo:Q4_K_M", ["opus"], ("opus", "sonnet"), "12")
    assert (big.speculate, small.speculate, remote.speculate) == (f"{tmp_path}/draft.gguf", "ngram", None)
    assert (keep_alive(big), memory(big), big.window, big.threads) == (300, 20 * 10**9, 65_536, 3)
    assert (small.source, small.tiers) == (f"{tmp_path}/models/small.gguf", ("haiku",))
    assert (small.mmproj, small.llama_server) == (f"{tmp_path}/models/mmproj.gguf", f"{tmp_path}/bin/llama-server")
    assert (remote.source, remote.script, remote.mmproj, remote.llama_server) == (
        "org/model",
        "/absolute.jsonl",
        "none",
        "llama-server",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ' contains no model; a model is a table: [name], source = "…"'),
        ("[a", " is not TOML: Expected ']' at the end of a table declaration (at end of document)"),
        ('source = "x"', ", line 1: [source]: Expected `object`, got `str`"),
        ('[a]\nsource = "x"\n\n[b]\nsource = "y"\nwindo = 5', ", line 6: [b]: unknown key 'windo'"),
        ('[a]\nwindow = 5\nsource = "x"', ", line 2: [a]: Expected `int` >= 16 - at `$.window`"),
        ('[a]\naliases = []\n[ "b" ]\n', ", line 1: [a]: source: a model has a source, or an engine and its url"),
        (
            '[a]\nsource = "x"\n"tier" = "Haiku"',
            ", line 3: [a]: tier: a tier is a word of Anthropic's model names, such as haiku",
        ),
        ('[a]\nsource = "x"\ngpu_layers = "most"', ", line 3: [a]: gpu_layers: it is a number of layers, or auto, or all"),
        ('[a]\nsource = "x"\nmemory = "much"', ", line 3: [a]: memory: 'much' is not a size such as 20GB"),
        ('[a]\nurl = "http://x"', ", line 1: [a]: engine: the engine at the url is named, such as vllm"),
        (
            '[a]\nsource = "x"\nkeep_alive = "long"',
            ", line 3: [a]: keep_alive: 'long' is not a duration such as 30s, 5m or 2h, or never",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_line(write: Write, text: str, message: str) -> None:
    assert refusal(write(text)) == message


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.toml") == " cannot be read: No such file or directory"
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    assert refusal(tmp_path / "latin.toml") == " is not UTF-8"


def test_without_a_time_the_command_line_decides() -> None:
    assert ModelTable().keep_alive is None
    assert keep_alive(ModelTable(keep_alive="never")) is None


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("30s", 30), ("1.5m", 90), ("2 H", 7200), ("1d", 86_400), ("0", 0)])
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert parse_keep_alive(text) == seconds


def test_a_duration_is_shown_with_its_largest_unit() -> None:
    assert [shown_duration(seconds) for seconds in (0, 59, 300, 7200, 90_000)] == ["0s", "59s", "5m", "2h", "1d"]


def serve(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["serve", *arguments])
    assert done.exit_code == 2, done.output
    return done.stderr.splitlines()[-1]


def test_mistakes_in_the_options_of_a_model_say_which_model(write: Write, tmp_path: Path) -> None:
    path = write('[a]\nsource = "a.gguf"')
    place = f"Error: --models: {path}: [a]: "
    assert serve("--models", str(path)) == f"{place}{tmp_path}/a.gguf: no such file"
    write('[a]\nengine = "none"\nurl = "x"')
    assert serve("--models", str(path)).startswith(f"{place}the engine 'none' is none of llamacpp, scripted, ")
    write('[a]\nengine = "sglang"\nurl = "x"\nmmproj = "x"')
    assert serve("--models", str(path)) == f"{place}--mmproj is for the embedded engine."
    write('[a]\nengine = "sglang"\nurl = "x"\nspeculate = "ngram"')
    assert serve("--models", str(path)) == f"{place}--speculate is for the embedded engine."
    write('[a]\nengine = "sglang"\nsource = "x"')
    assert serve("--models", str(path)) == f"{place}--engine sglang needs --engine-url URL."
    write('[a]\nengine = "scripted"\nscript = "x"\ndialect = "klingon"')
    (tmp_path / "x").write_text('{"output": "Hello."}')
    assert serve("--models", str(path)).startswith(f"{place}")
    assert "line 2" in serve("--models", str(write("[a]\ncolour = 1")))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["m.gguf"], "MODEL"),
        (["--small", "m.gguf"], "--small"),
        (["--alias", "x"], "--alias"),
        (["--engine", "vllm"], "--engine"),
        (["--context-length", "4096"], "--context-length"),
        (["--mmproj", "x"], "--mmproj"),
        (["--speculate", "draft.gguf"], "--speculate DRAFT_MODEL"),
    ],
)
def test_options_of_one_model_and_a_file_exclude_each_other(arguments: list[str], name: str) -> None:
    message = f"Error: --models and {name} exclude each other: the file has the models and their options."
    assert serve("--models", "models.toml", *arguments) == message


def test_a_wrong_time_is_refused() -> None:
    assert "'long' is not a duration" in serve("--keep-alive", "long")


def test_two_models_with_one_name_are_refused(write: Write, tmp_path: Path) -> None:
    (tmp_path / "x").write_text('{"output": "Hello."}')
    table = 'engine = "scripted"\nscript = "x"\naliases = ["same"]\n'
    path = write(f"[a]\n{table}[b]\n{table}")
    assert serve("--models", str(path), "--port", "0") == (
        "Error: two models are named same: in a file (--models FILE) each model has a name of its own."
    )
    remote = ["--engine", "vllm", "--engine-url", "http://127.0.0.1:9"]
    assert serve(*remote, "--small", "default") == "Error: of several models each needs a name: give MODEL."
    assert serve("--workers", "2", *remote, "--small", "default") == (
        "Error: --workers needs a remote engine: give --engine-url URL."
    )
