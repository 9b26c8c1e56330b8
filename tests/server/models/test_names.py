"""Which of several models a name means, and how models are listed."""

from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest

from conftest import body
from dragoman.engines.scripted import ScriptedEngine
from dragoman.errors import UnknownModel
from dragoman.server import ModelEntry, ModelRegistry, Settings
from server.http import get, post
from server.several_models import Model, SeveralModels, serving


@pytest.fixture(scope="module")
def server() -> Iterator[SeveralModels]:
    big = Model("org/big", aliases=["main"], tiers=["opus"], display_name="Big")
    small = Model("small", aliases=["fast", "org/big-2"], tiers=["haiku", "sonnet"], window=4096)
    with serving([big, small]) as running:
        yield running


@pytest.mark.clause("MOD-6", "CC-6", "CC-3")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("org/big", "org/big"),
        ("main", "org/big"),
        ("main[1m]", "org/big"),
        ("claude-org/big", "org/big"),
        ("claude-opus-4-6", "org/big"),
        ("claude-unheard-of", "org/big"),
        ("small", "small"),
        ("fast", "small"),
        ("org/big-2", "small"),
        ("claude-small", "small"),
        ("claude-small[1m]", "small"),
        ("claude-haiku-4-5-20251001", "small"),
        ("claude-3-5-sonnet-latest[1m]", "small"),
    ],
)
def test_a_name_means_one_model(server: SeveralModels, name: str, said: str) -> None:
    answer = server.ask(name)
    assert (answer.status, answer.json["content"][0]["text"], answer.json["model"]) == (200, f"I am {said}.", name)
    chat = post(server.url, {"model": name, "messages": [{"role": "user", "content": "Hi"}]}, "/v1/chat/completions")
    assert chat.json["choices"][0]["message"]["content"] == f"I am {said}."
    plain = post(server.url, {"model": name, "prompt": "Hi"}, "/v1/completions")
    assert plain.json["choices"][0]["text"] == f"I am {said}."


async def test_what_a_name_means_is_known_without_loading_the_model_if_its_id_is() -> None:
    entries = [
        ModelEntry("org/big", partial(pytest.fail, "loaded"), aliases=["main"]),
        ModelEntry("small", partial(pytest.fail, "loaded"), tiers=["haiku"]),
    ]
    registry = ModelRegistry(entries, Settings())
    assert registry.served == ["org/big", "small"]
    names = ("main", "claude-opus-4-6[1m]", "claude-haiku-4-5", "small")
    assert [await registry.meant(name) for name in names] == ["org/big", "org/big", "small", "small"]
    with pytest.raises(UnknownModel):
        await registry.meant("smalll")
    await registry.close()
    unnamed = ModelRegistry([ModelEntry.of(ScriptedEngine([]))], Settings())
    assert unnamed.served == []
    assert [await unnamed.meant("claude-any")] == unnamed.served != []
    await unnamed.close()


@pytest.mark.clause("ERR-10")
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions"])
@pytest.mark.parametrize("filler", ["", "x" * 200_000], ids=["small", "large"])
def test_an_unknown_name_is_404(server: SeveralModels, path: str, filler: str) -> None:
    request: dict[str, Any] = {"model": "smalll", "messages": [{"role": "user", "content": f"Hi{filler}"}]}
    answer = post(server.url, request | ({"max_tokens": 9} if path == "/v1/messages" else {}), path)
    assert answer.status == HTTPStatus.NOT_FOUND
    names = "org/big, main, claude-org/big, small, fast, org/big-2, claude-small"
    assert f"this server has {names}," in answer.json["error"]["message"]


def test_every_name_means_the_first_model_if_the_operator_says_so() -> None:
    with serving([Model("one"), Model("two")], any_model=True) as server:
        assert server.said("whatever") == "I am one."
        assert server.said("two") == "I am two."


def test_an_explicit_name_comes_before_a_listed_one() -> None:
    with serving([Model("plain"), Model("other", aliases=["claude-plain"])]) as server:
        assert server.said("claude-plain") == "I am other."


def test_an_adapter_of_a_loaded_model_is_routed_to_it() -> None:
    second = Model("second", adapters=["poet"])
    with serving([Model("first"), second]) as server:
        assert server.ask("poet").status == HTTPStatus.NOT_FOUND  # its adapters are not known yet
        server.said(second)
        assert server.said("poet") == "I am second."
        assert [request.routing.adapter for request in second.engine.requests] == [None, "poet"]
        assert "poet" in [item["id"] for item in get(server.url, "/v1/models").json["data"]]


@pytest.mark.clause("MOD-1", "MOD-3", "MOD-4", "MOD-5", "CC-3")
def test_models_are_listed_without_loading_them() -> None:
    big, small = Model("big"), Model("small", aliases=["fast"], display_name="Small", window=4096)
    with serving([big, small]) as server:
        listed = {item["id"]: item for item in get(server.url, "/v1/models").json["data"]}
        assert list(listed) == ["big", "claude-big", "small", "fast", "claude-small"]
        assert listed["big"]["capabilities"]["thinking"]
        for name in ("small", "fast", "claude-small"):
            item = listed[name]
            assert item["display_name"] == "Small"
            assert (item["max_input_tokens"], item["max_tokens"], item["capabilities"]) == (4095, 4095, None)
        assert get(server.url, "/v1/models/claude-small").json == listed["small"]
        assert get(server.url, "/v1/models/smalll").status == HTTPStatus.NOT_FOUND
        assert small.engines == []
        server.said(small)
        assert get(server.url, "/v1/models/fast").json["capabilities"] == listed["big"]["capabilities"]


def test_a_body_that_is_wrong_loads_no_model() -> None:
    small = Model("small")
    with serving([Model("big"), small]) as server:
        for request in (body(model="small", max_tokens=-1), b'{"model": "small"', body(model=["small"])):
            assert post(server.url, request).status == HTTPStatus.BAD_REQUEST
        assert small.engines == []


def test_a_large_body_whose_model_cannot_be_read_is_refused(server: SeveralModels) -> None:
    for beginning in (b'{"model": "small", ', b'{"model": 7, "messages": []}', b"{"):
        assert post(server.url, beginning + b" " * 200_000).status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("size", [200_000, 2_500_000])
@pytest.mark.parametrize("model_last", [True, False])
def test_a_large_body_is_routed_by_its_model(server: SeveralModels, size: int, model_last: bool) -> None:
    fields = body({"role": "user", "content": "word " * (size // 5)}, model="fast")
    fields = fields if not model_last else {name: fields[name] for name in reversed(fields)}
    answer = post(server.url, fields, "/v1/messages/count_tokens")
    assert answer.status == HTTPStatus.OK
    text = fields["messages"][0]["content"] = "\ud83d word" * (size // 100)
    assert text  # an escaped lone surrogate, which clients send by cutting a text in an emoji
    assert post(server.url, fields, "/v1/messages/count_tokens").status == HTTPStatus.OK


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [ModelEntry("one", ScriptedEngine), ModelEntry("two", ScriptedEngine, aliases=["one"])],
        [ModelEntry("one", ScriptedEngine), ModelEntry(None, ScriptedEngine)],
    ],
)
def test_entries_without_clear_names_are_refused(entries: list[ModelEntry]) -> None:
    with pytest.raises(ValueError, match="model"):
        ModelRegistry(entries, Settings())
