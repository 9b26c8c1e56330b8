"""`GET /v1/models` and `GET /v1/models/{id}`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus

import pytest

from conftest import MODEL, Serve, body, live_server
from controllable_engine import ControllableEngine
from server.http import get, post

NAMES = [MODEL, "b", "c", "d", "claude-e"]


@pytest.fixture(scope="module")
def many_names() -> Iterator[str]:
    """The URL of a server whose model has five names."""
    with live_server(ControllableEngine(), id=MODEL, aliases=NAMES[1:]) as url:
        yield url


def page(url: str, query: str = "") -> tuple[list[str], bool]:
    answer = get(url, f"/v1/models{query}")
    assert answer.status == HTTPStatus.OK
    listing = answer.json
    ids = [item["id"] for item in listing["data"]]
    assert list(listing) == ["data", "has_more", "first_id", "last_id", "object"]
    assert (listing["first_id"], listing["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
    return ids, listing["has_more"]


@pytest.mark.clause("MOD-1", "MOD-2", "CC-1")
def test_the_list_is_the_served_id_and_its_aliases(many_names: str) -> None:
    assert page(many_names) == (NAMES, False)
    assert page(many_names, "?limit=1000") == (NAMES, False)


@pytest.mark.clause("MOD-1", "MOD-2")
def test_the_list_is_paged_forward_and_backward(many_names: str) -> None:
    assert page(many_names, "?limit=2") == (NAMES[:2], True)
    assert page(many_names, "?limit=2&after_id=b") == (["c", "d"], True)
    assert page(many_names, "?limit=2&after_id=d") == (["claude-e"], False)
    assert page(many_names, "?after_id=claude-e") == ([], False)
    assert page(many_names, "?limit=2&before_id=d") == (["b", "c"], True)
    assert page(many_names, f"?before_id={MODEL}") == ([], False)
    assert page(many_names, "?after_id=unknown") == ([], False)


@pytest.mark.clause("MOD-1")
@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "", "1.5", "%C2%B2"])
def test_a_limit_must_be_a_number_from_1_to_1000(many_names: str, limit: str) -> None:
    answer = get(many_names, f"/v1/models?limit={limit}")
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert answer.error[0] == "invalid_request_error"
    assert answer.error[1].startswith("limit: ")


@pytest.mark.clause("MOD-3", "MOD-4", "MOD-7")
def test_a_model_describes_itself(serve: Serve) -> None:
    url = serve(
        window=5000,
        id="tiny",
        display_name="Tiny",
        aliases=["t"],
        created_at=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
    )
    for item, name in ((get(url, "/v1/models/tiny").json, "tiny"), (get(url, "/v1/models").json["data"][1], "t")):
        assert item.pop("capabilities")
        assert item == {
            "type": "model",
            "id": name,
            "display_name": "Tiny",
            "created_at": "2026-03-04T05:06:07Z",
            "max_input_tokens": 4999,
            "max_tokens": 4999,
            "lifecycle": "active",
            "line": None,
            "deprecated_at": None,
            "retires_at": None,
            "object": "model",
            "created": 1772600767,
            "owned_by": "dragoman",
        }


@pytest.mark.clause("MOD-5")
def test_capabilities_are_complete(many_names: str) -> None:
    capabilities = get(many_names, f"/v1/models/{MODEL}").json["capabilities"]
    shapes = {
        "batch": set(),
        "citations": set(),
        "code_execution": set(),
        "compaction": {"summarize"},
        "context_management": {"clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112"},
        "effort": {"low", "medium", "high", "xhigh", "max"},
        "image_input": set(),
        "pdf_input": set(),
        "server_tools": {"web_search", "code_execution"},
        "structured_outputs": set(),
        "thinking": {"types"},
    }
    assert {name: set(value) - {"supported"} for name, value in capabilities.items()} == shapes
    assert set(capabilities["thinking"]["types"]) == {"adaptive", "between_tools", "disabled", "enabled"}

    def leaves(value: dict[str, object]) -> Iterator[object]:
        for name, inner in value.items():
            if isinstance(inner, dict):
                yield from leaves(inner)
            else:
                yield (name, type(inner))

    assert set(leaves(capabilities)) == {("supported", bool)}


@pytest.mark.clause("MOD-6")
@pytest.mark.parametrize("name", [MODEL, "b", "claude-haiku-4-5", "claude-sonnet-4-5%5B1m%5D"])
def test_a_name_resolves_to_the_canonical_id(many_names: str, name: str) -> None:
    assert get(many_names, f"/v1/models/{name}").json["id"] == MODEL


@pytest.mark.clause("MOD-6")
@pytest.mark.parametrize("name", ["unknown", "org%2Funknown", "b%00", "%FF"])
def test_an_unknown_name_is_404(many_names: str, name: str) -> None:
    answer = get(many_names, f"/v1/models/{name}")
    assert answer.status == HTTPStatus.NOT_FOUND
    assert answer.error[0] == "not_found_error"
    assert answer.error[1].startswith("model: ")


@pytest.mark.clause("CC-3", "CC-6")
def test_claude_code_finds_claude_models_and_uses_its_small_one(serve: Serve) -> None:
    url = serve(aliases=["claude-local"], display_name="Local")
    listed = get(url, "/v1/models?limit=1000", anthropic_version="2023-06-01")
    assert listed.status == HTTPStatus.OK
    assert {item["id"]: item["display_name"] for item in listed.json["data"]}["claude-local"] == "Local"
    for name in ("claude-local", "claude-haiku-4-5-20251001", "claude-local[1m]"):
        assert post(url, body(model=name, max_tokens=1)).json["stop_reason"] == "max_tokens"


@pytest.mark.clause("CC-3")
def test_a_model_without_claude_in_its_names_is_listed_under_such_a_name_too(serve: Serve) -> None:
    url = serve(id="org/tiny", display_name="Tiny", aliases=["t"])
    listed = {item["id"]: item["display_name"] for item in get(url, "/v1/models").json["data"]}
    assert listed == dict.fromkeys(["org/tiny", "t", "claude-org/tiny"], "Tiny")
    assert get(url, "/v1/models/claude-org%2Ftiny").json["id"] == "org/tiny"
    assert post(url, body(model="claude-org/tiny[1m]", max_tokens=1)).json["stop_reason"] == "max_tokens"
