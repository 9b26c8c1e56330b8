"""`GET /api/models` and `POST /api/models/{id}/stop`."""

from http import HTTPStatus

import pytest

from conftest import Serve, body
from controllable_engine import FIRST_TOKEN, until
from dragoman.server.models import status as model_status
from server.http import ask, get, post
from server.several_models import Model, SeveralModels, serving


def stop(server: SeveralModels, name: str) -> tuple[int, str]:
    answer = post(server.url, None, f"/api/models/{name}/stop")
    return answer.status, answer.json["state"] if answer.status == HTTPStatus.OK else answer.error[1]


def test_a_status_says_what_is_loaded_and_how_busy_it_is() -> None:
    big = Model("big", aliases=["b"], tiers=["opus"])
    small = Model("small", window=4096, memory=5, pinned=True)
    with serving([big, small], memory=9) as server:
        server.said(big)
        big.engine.hold(before=FIRST_TOKEN)
        running = server.later(big)
        until(lambda: big.engine.waiting == 1)
        answer = get(server.url, "/api/models").json
        assert answer["memory"] == 9
        loaded, other = answer["models"]
        assert loaded.pop("tokens_per_second") > 0
        assert loaded == {
            "id": "big",
            "aliases": ["b"],
            "tiers": ["opus"],
            "state": "loaded",
            "reason": None,
            "engine": "scripted",
            "computes": None,
            "window": 200_000,
            "slots": 64,
            "busy": 1,
            "waiting": 0,
            "conversations": None,
            "memory": 1,
            "keep_alive_left": None,
            "pinned": False,
        }
        unknown = ("reason", "engine", "computes", "slots", "conversations", "tokens_per_second", "keep_alive_left")
        assert other == dict.fromkeys(unknown) | {
            "id": "small",
            "aliases": [],
            "tiers": [],
            "state": "unloaded",
            "window": 4096,
            "busy": 0,
            "waiting": 0,
            "memory": 5,
            "pinned": True,
        }
        big.engine.release()
        running.result()


def test_requests_that_wait_for_a_slot_are_counted(serve: Serve) -> None:
    big = Model("big", slots=2)
    with serving([big]) as server:
        big.engine.hold(before=FIRST_TOKEN)
        answers = [server.later(big) for _ in range(5)]
        until(lambda: (server.statuses["big"]["busy"], server.statuses["big"]["waiting"]) == (2, 3))
        big.engine.release()
        assert {answer.result().status for answer in answers} == {200}


def test_a_model_is_unloaded_on_request_and_loaded_again_when_asked_for() -> None:
    big, small = Model("big"), Model("org/small", pinned=True)
    with serving([big, small]) as server:
        assert stop(server, "org%2Fsmall") == (200, "unloaded")
        server.said(small)
        assert stop(server, "claude-org%2Fsmall") == (200, "unloaded")
        assert stop(server, "big") == (200, "unloaded")
        assert get(server.url, "/health").status == HTTPStatus.OK  # a message would load it
        assert server.said(big) == "I am big."
        status, message = stop(server, "other")
        assert (status, message.startswith("model: other")) == (404, True)


def test_a_stop_waits_for_the_requests_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_status, "STOP_SECONDS", 0.05)
    big = Model("big")
    with serving([big]) as server:
        big.engine.hold(before=FIRST_TOKEN)
        running = server.later(big)
        until(lambda: big.engine.waiting == 1)
        assert stop(server, "big") == (200, "unloading")
        assert stop(server, "big") == (200, "unloading")
        big.engine.release()
        assert running.result().json["stop_reason"] == "end_turn"
        until(lambda: server.states == {"big": "unloaded"})


def test_a_model_that_loads_is_stopped() -> None:
    small = Model("small")
    with serving([Model("big"), small], memory=1) as server:
        small.hold_loading()
        waiting = server.later(small)
        until(lambda: small.loading == 1)
        assert stop(server, "small") == (200, "unloaded")
        reason = "the model was stopped while it was loading"
        assert (waiting.result().status, waiting.result().error) == (529, ("overloaded_error", reason))
        until(lambda: small.engine.shut)
        small.release_loading()
        assert server.said(small) == "I am small."


def test_an_engine_that_the_application_built_is_not_started_again(serve: Serve) -> None:
    url = serve()
    assert post(url, None, "/api/models/scripted/stop").json["state"] == "unloaded"
    answer = post(url, body())
    assert (answer.status, answer.error[0]) == (529, "overloaded_error")
    assert get(url, "/health").json["status"] == "failed"


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://example.org", 403), ("null", 403), ("http://localhost:3000", 200), ("https://chat.test", 200)],
)
def test_pages_of_foreign_origins_unload_no_model(origin: str, status: int) -> None:
    with serving([Model("big")], cors_origins=["https://chat.test"]) as server:
        answer = post(server.url, None, "/api/models/big/stop", origin=origin, content_type="text/plain")
        assert answer.status == status
        assert server.states == {"big": "loaded" if status == 403 else "unloaded"}


def test_the_status_needs_the_key() -> None:
    with serving([Model("big")], api_key="sesame") as server:
        for method, path in (("GET", "/api/models"), ("POST", "/api/models/big/stop")):
            assert ask(server.url, method, path).status == HTTPStatus.UNAUTHORIZED
            assert ask(server.url, method, path, x_api_key="sesame").status == HTTPStatus.OK
