"""A model's folder: its tokenizer, its template, its special tokens."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from dragoman.errors import EngineFailed
from dragoman.models.tokenizer_folder import ModelFolder
from engines.folders import CONTROLS, TEMPLATE, model_folder


async def test_text_is_tokenized_as_by_the_models_own_tokenizer(tmp_path: Path) -> None:
    folder = ModelFolder(model_folder(tmp_path))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = "<|im_start|>user\nthe weather in Ulm, Grüße 🦊<|im_end|>\n"
    assert await folder.tokenize(text) == tokenizer.encode(text, add_special_tokens=False).ids
    long = "a tool result " * 1_000
    assert await folder.tokenize(long) == tokenizer.encode(long, add_special_tokens=False).ids


@pytest.mark.parametrize("spelling", [*CONTROLS, "<tool_call>"])
async def test_a_spelled_special_token_is_a_token_or_text_as_requested(tmp_path: Path, spelling: str) -> None:
    folder = ModelFolder(model_folder(tmp_path))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert await folder.tokenize(spelling) == [tokenizer.token_to_id(spelling)]
    plain = await folder.tokenize(spelling, special=False)
    assert len(plain) > 1
    assert tokenizer.decode(plain, skip_special_tokens=False) == spelling


def test_the_template_and_the_special_tokens_are_read(tmp_path: Path) -> None:
    folder = ModelFolder(model_folder(tmp_path))
    assert (folder.chat_template, folder.bos_token, folder.eos_token, folder.window) == (TEMPLATE, *CONTROLS, 2048)


def test_of_several_templates_the_default_is_used(tmp_path: Path) -> None:
    several = [{"name": "rag", "template": "R"}, {"name": "default", "template": "D"}]
    assert ModelFolder(model_folder(tmp_path, chat_template=several)).chat_template == "D"
    (tmp_path / "chat_template.jinja").write_text("J", encoding="utf-8")
    assert ModelFolder(tmp_path).chat_template == "J"


def test_a_folder_may_lack_settings(tmp_path: Path) -> None:
    model_folder(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "config.json").unlink()
    folder = ModelFolder(tmp_path)
    assert (folder.chat_template, folder.bos_token, folder.eos_token, folder.window) == (None, "", "", None)


@pytest.mark.parametrize("content", [None, "", "{}", "no JSON"])
def test_a_folder_without_a_tokenizer_is_refused_by_name(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(EngineFailed, match=str(tmp_path)):
        ModelFolder(tmp_path)
