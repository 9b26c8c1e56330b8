"""Several models that do not fit together: loading on demand, taking turns, unloading, failures."""

from http import HTTPStatus
from threading import Barrier

import pytest

from controllable_engine import FIRST_TOKEN, until
from dragoman.engines import Engine
from dragoman.errors import EngineFailed, EngineUnavailable
from dragoman.server.answering import early_stream
from dragoman.server.models import residents
from server.http import get, post, wire
from server.several_models import Model, serving


def test_a_model_is_loaded_when_it_is_asked_for() -> None:
    big, small = Model("big"), Model("small")
    with serving([big, small], memory=2) as server:
        assert server.states == {"big": "loaded", "small": "unloaded"}
        assert small.engines == []
        assert server.said(small) == "I am small."
        assert server.said(big) == "I am big."
        assert server.states == {"big": "loaded", "small": "loaded"}
        assert (len(big.engines), len(small.engines)) == (1, 1)


def test_requests_for_a_loading_model_share_one_load() -> None:
    big, small = Model("big"), Model("small")
    with serving([big, small], memory=2) as server:
        small.hold_loading()
        answers = [server.later(small) for _ in range(6)]
        until(lambda: server.statuses["small"]["waiting"] == 6)
        assert server.states["small"] == "loading"
        assert server.said(big) == "I am big."  # the others go on
        small.release_loading()
        assert {answer.result().status for answer in answers} == {200}
        assert len(small.engines) == 1


def test_the_model_that_was_not_used_for_longest_makes_room() -> None:
    models = [Model(name) for name in "abc"]
    with serving(models, memory=2) as server:
        for name in "abab":
            server.said(name)
        server.said("c")
        assert server.states == {"a": "unloaded", "b": "loaded", "c": "loaded"}
        server.said("a")
        assert server.states == {"a": "loaded", "b": "unloaded", "c": "loaded"}


def test_several_models_are_unloaded_for_a_large_one() -> None:
    models = [Model("a"), Model("b"), Model("large", memory=3)]
    with serving(models, memory=3) as server:
        server.said("b")
        server.said("large")
        assert server.states == {"a": "unloaded", "b": "unloaded", "large": "loaded"}
        server.said("b")
        assert server.states == {"a": "unloaded", "b": "loaded", "large": "unloaded"}


def test_a_pinned_model_is_never_unloaded_to_make_room() -> None:
    models = [Model("a"), Model("pinned", pinned=True), Model("c"), Model("large", memory=2)]
    with serving(models, memory=2) as server:
        for name in ("pinned", "a", "c"):
            server.said(name)
        assert server.states == {"a": "unloaded", "pinned": "loaded", "c": "loaded", "large": "unloaded"}
        refused = server.ask("large")
        assert (refused.status, refused.error[0]) == (400, "invalid_request_error")
        assert "of which models that stay loaded take" in refused.error[1]
        assert server.states["c"] == "loaded"


def test_a_model_that_never_fits_is_an_error_for_its_requests_only() -> None:
    models = [Model("a", memory=2 * 10**9), Model("huge", memory=9 * 10**9)]
    with serving(models, memory=8 * 10**9) as server:
        for stream in (True, False):
            refused = server.ask("huge", stream=stream)
            reason = "model: huge needs 9.0 GB of memory, and this server has 8.0 GB"
            assert (refused.status, refused.error) == (400, ("invalid_request_error", reason))
        assert models[1].engines == []
        assert server.states == {"a": "loaded", "huge": "unloaded"}


def test_a_default_model_that_never_fits_is_an_error_for_its_requests_only() -> None:
    with serving([Model("huge", memory=3), Model("a")], memory=2) as server:
        refused = server.ask("huge")
        assert (refused.status, refused.error[0]) == (400, "invalid_request_error")
        assert server.said("a") == "I am a."
        assert server.states == {"huge": "failed", "a": "loaded"}
        assert get(server.url, "/health").json["status"] == "failed"


def test_an_unknown_name_does_not_load_the_only_model_again() -> None:
    model = Model("only", keep_alive=0.01)
    with serving([model]) as server:
        until(lambda: server.states["only"] == "unloaded")
        assert server.ask("other").status == HTTPStatus.NOT_FOUND
        assert len(model.engines) == 1
        assert server.said("claude-haiku-4-5") == "I am only."


def test_an_idle_model_is_unloaded_after_its_keep_alive() -> None:
    model = Model("brief", keep_alive=0.05)
    with serving([Model("a"), model, Model("long", keep_alive=100)]) as server:
        for _ in range(2):
            server.said(model)
            until(lambda: server.states["brief"] == "unloaded")
        assert len(model.engines) == 2
        server.said("long")
        assert 90 < server.statuses["long"]["keep_alive_left"] <= 100
        assert server.statuses["a"]["keep_alive_left"] is None


def test_a_model_in_use_is_not_unloaded_after_its_keep_alive() -> None:
    model = Model("brief", keep_alive=0.01)
    with serving([model]) as server:
        until(lambda: server.states["brief"] == "unloaded")
        model.hold_loading()
        answer = server.later(model)
        until(lambda: model.loading == 1)
        model.engine.hold(before=FIRST_TOKEN)
        model.release_loading()
        until(lambda: model.engine.waiting == 1)
        assert server.statuses["brief"]["keep_alive_left"] is None
        model.engine.release()
        assert answer.result().status == HTTPStatus.OK


def test_a_running_stream_ends_whole_before_its_model_is_unloaded() -> None:
    a, b = Model("a"), Model("b")
    with serving([a, b], memory=1) as server:
        a.engine.hold(before=FIRST_TOKEN)
        running = [server.later(a, stream=stream) for stream in (True, False)]
        until(lambda: a.engine.waiting == 2)
        first = a.engine
        other = server.later(b)
        until(lambda: server.states["a"] == "unloading")
        late = server.later(a)  # waits for the next stay of its model
        until(lambda: server.statuses["a"]["waiting"] == 1)
        assert server.states == {"a": "loading", "b": "loading"}
        assert (b.engines, first.shut) == ([], False)
        first.release()
        assert running[0].result().events[-1] == {"type": "message_stop"}
        assert running[1].result().json["stop_reason"] == "end_turn"
        assert other.result().json["content"][0]["text"] == "I am b."
        assert late.result().json["content"][0]["text"] == "I am a."
        assert (len(a.engines), len(b.engines)) == (2, 1)


def test_one_model_is_loaded_at_a_time_in_the_order_of_requests() -> None:
    models = [Model(name) for name in "abc"]
    _, b, c = models
    with serving(models, memory=3) as server:
        b.hold_loading()
        first = server.later(b)
        until(lambda: b.loading == 1)
        second = server.later(c)
        until(lambda: server.states["c"] == "loading")
        assert c.engines == []
        b.release_loading()
        assert [answer.result().status for answer in (first, second)] == [200, 200]


def test_an_engine_elsewhere_needs_no_room_and_waits_for_no_turn() -> None:
    a, b, elsewhere = Model("a"), Model("b"), Model("elsewhere", memory=0)
    with serving([a, b, elsewhere], memory=1) as server:
        b.hold_loading()
        waiting = server.later(b)
        until(lambda: b.loading == 1)
        assert server.said(elsewhere) == "I am elsewhere."
        b.release_loading()
        assert waiting.result().status == HTTPStatus.OK
        server.said(a)
        assert server.states == {"a": "loaded", "b": "unloaded", "elsewhere": "loaded"}


def test_what_was_unloaded_for_a_model_that_fails_is_loaded_again() -> None:
    a, b, broken = Model("a"), Model("b"), Model("broken", memory=2)
    broken.failure = EngineFailed("no such tensor")
    with serving([a, b, broken], memory=2) as server:
        server.said(b)
        broken.hold_loading()
        failing = [server.later(broken) for _ in range(2)]
        until(lambda: broken.loading == 1)
        waiting = server.later(a)  # comes while nothing is loaded
        until(lambda: server.statuses["a"]["waiting"] == 1)
        broken.release_loading()
        for answer in failing:
            assert (answer.result().status, answer.result().error) == (500, ("api_error", "no such tensor"))
        assert waiting.result().json["content"][0]["text"] == "I am a."
        until(lambda: server.states == {"a": "loaded", "b": "loaded", "broken": "failed"})
        assert server.statuses["broken"]["reason"] == "no such tensor"
        assert (len(a.engines), len(b.engines)) == (2, 2)


def test_a_model_that_failed_is_not_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Model("broken")
    broken.failure = EngineFailed("no such tensor")
    with serving([Model("a"), broken]) as server:
        for _ in range(3):
            assert server.ask(broken).error == ("api_error", "no such tensor")
        assert len(broken.engines) == 1
        assert broken.engine.shut
        monkeypatch.setattr(residents, "RETRY_SECONDS", 0.0)
    broken = Model("broken")
    broken.failure = EngineFailed("no such tensor")
    with serving([Model("a"), broken]) as server:
        server.ask(broken)
        broken.failure = None
        assert server.said(broken) == "I am broken."
        assert server.statuses["broken"]["reason"] is None


def test_a_model_that_cannot_be_reached_is_tried_for_every_request() -> None:
    remote = Model("remote", memory=0)
    remote.failure = EngineUnavailable("connection refused")
    with serving([Model("a"), remote]) as server:
        for _ in range(2):
            assert server.ask(remote).error == ("overloaded_error", "connection refused")
        remote.failure = None
        assert server.said(remote) == "I am remote."


def test_a_bug_in_building_an_engine_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    def build() -> Engine:
        raise ZeroDivisionError("secret")

    broken = Model("broken", build=build)
    with serving([Model("a"), broken]) as server:
        for _ in range(2):
            assert server.ask(broken).error == ("api_error", "Internal server error")
        assert server.said("a") == "I am a."
        assert server.statuses["broken"]["reason"] == "Internal server error"
    assert "ZeroDivisionError" in caplog.text


def test_models_are_loaded_at_the_start_if_they_fit() -> None:
    models = [Model("a", memory=2), Model("b", preload=True), Model("c", preload=True), Model("d")]
    with serving(models, memory=3) as server:
        until(lambda: server.states == {"a": "loaded", "b": "loaded", "c": "unloaded", "d": "unloaded"})


@pytest.mark.clause("TRN-18")
def test_a_load_that_no_client_waits_for_any_more_is_left_out() -> None:
    a, b, c = models = [Model(name) for name in "abc"]
    with serving(models, memory=1) as server:
        b.hold_loading()
        with wire(server.url) as leaves, wire(server.url) as leaves_too:
            for client, name in ((leaves, "b"), (leaves_too, "c")):
                client.send({"model": name, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]})
                until(lambda name=name: server.statuses[name]["waiting"] == 1)  # type: ignore[misc]
        until(lambda: server.statuses["b"]["waiting"] == server.statuses["c"]["waiting"] == 0)
        b.release_loading()
        until(lambda: server.states == {"a": "unloaded", "b": "loaded", "c": "unloaded"})  # a load that began is completed
        assert c.engines == []
        assert server.said(c) == "I am c."
        assert a.open == 0


@pytest.mark.clause("TRN-18")
def test_a_model_whose_clients_leave_while_another_is_drained_is_not_loaded() -> None:
    a, b = Model("a"), Model("b")
    with serving([a, b], memory=1) as server:
        a.engine.hold(before=FIRST_TOKEN)
        running = server.later(a)
        until(lambda: a.engine.waiting == 1)
        with wire(server.url) as leaves:
            leaves.send({"model": "b", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]})
            until(lambda: server.states["a"] == "unloading")
        until(lambda: server.statuses["b"]["waiting"] == 0)
        a.engine.release()
        assert running.result().status == HTTPStatus.OK
        until(lambda: server.states == {"a": "loaded", "b": "unloaded"})
        assert (len(a.engines), b.engines) == (2, [])


def test_an_unstreamed_request_waits_for_its_model_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_stream, "LOADING_PATIENCE", 0.05)
    small = Model("small")
    with serving([Model("a"), small]) as server:
        small.hold_loading()
        answer = server.ask(small)
        assert (answer.status, answer.error) == (529, ("overloaded_error", "the model is still loading"))
        assert answer.headers["retry-after"] == "2"


@pytest.mark.clause("CNT-1", "CNT-2")
def test_tokens_are_counted_by_the_model_that_is_named() -> None:
    small = Model("small")
    with serving([Model("big"), small], memory=1) as server:
        request = {"model": "small", "messages": [{"role": "user", "content": "one two three"}]}
        counted = post(server.url, request, "/v1/messages/count_tokens").json["input_tokens"]
        assert server.states == {"big": "unloaded", "small": "loaded"}
        assert counted == server.ask(small, messages=request["messages"]).json["usage"]["input_tokens"]


@pytest.mark.parametrize(("names", "room"), [("ab", 1), ("abcd", 2)])
def test_models_that_do_not_fit_together_take_turns_under_load(names: str, room: int) -> None:
    """Eight clients ask for the models in turn, while others disconnect; each is answered by the model that it names."""
    models = [Model(name) for name in names]
    with serving(models, memory=room) as server:
        start = Barrier(12)

        def client(number: int) -> list[tuple[str, str]]:
            start.wait()
            asked = [models[(number + turn) % len(models)] for turn in range(8)]
            return [(model.says, server.said(model, stream=number % 2 == 0)) for model in asked]

        def leaving(number: int) -> None:
            start.wait()
            for turn in range(4):
                with wire(server.url) as connection:
                    name = names[(number + turn) % len(names)]
                    connection.send({"model": name, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]})
                    until(lambda name=name: server.statuses[name]["state"] != "unloaded")  # type: ignore[misc]

        left = [server.threads.submit(leaving, number) for number in range(4)]
        for expected, said in [answer for answers in server.threads.map(client, range(8)) for answer in answers]:
            assert said == expected
        for departure in left:
            departure.result()
        assert all(len(model.engines) >= 2 for model in models)
        until(lambda: sum(model.open for model in models) <= room)
        assert set(server.states.values()) <= {"loaded", "unloaded", "loading"}


def test_the_server_stops_while_models_load_and_wait() -> None:
    a, b, c = models = [Model(name) for name in "abc"]
    with serving(models, memory=1) as server:
        b.hold_loading()
        answers = [server.later(b), server.later(b, stream=True)]
        until(lambda: b.loading == 1)
        answers.append(server.later(c))
        until(lambda: server.states["c"] == "loading")
        assert b.loop is not None
        b.loop.call_soon_threadsafe(server.registry.residents.drain)
        for answer in answers:
            assert (answer.result().status, answer.result().error[0]) == (529, "overloaded_error")
        until(lambda: b.engine.shut)
        refused = [server.ask(name) for name in "abc"]
        assert {answer.error for answer in refused} == {("overloaded_error", "the server is shutting down")}
    assert (a.open, c.engines) == (0, [])


def test_requests_that_run_on_any_model_are_ended_at_shutdown() -> None:
    a, b = Model("a"), Model("b")
    with serving([a, b], memory=2) as server:
        server.said(b)
        for model in (a, b):
            model.engine.hold(before=FIRST_TOKEN)
        answers = [server.later(a), server.later(b)]
        until(lambda: a.engine.waiting + b.engine.waiting == 2)
        assert a.loop is not None
        a.loop.call_soon_threadsafe(server.registry.residents.expire)
        for answer in answers:
            assert answer.result().error == ("overloaded_error", "the server shut down before the answer was complete")


def test_the_health_probe_and_the_metrics_know_all_models() -> None:
    a, broken = Model("a"), Model("broken")
    broken.failure = EngineFailed("no such tensor")
    with serving([a, broken], memory=1) as server:
        server.ask(broken)
        until(lambda: server.states["a"] == "loaded")
        health = get(server.url, "/health")
        assert (health.status, health.json["status"], health.json["model"]) == (200, "ok", "a")
        assert health.json["models"] == {"a": "loaded", "broken": "failed"}
        page = get(server.url, "/metrics").content.decode()
        for line in (
            'dragoman_model_loaded{model="a"} 1.0',
            'dragoman_model_loads_total{model="a"} 2.0',
            'dragoman_model_load_failures_total{model="broken"} 1.0',
        ):
            assert line in page.splitlines()


def test_other_models_are_served_after_a_change_and_running_requests_end_in_order() -> None:
    kept, gone, waiting, new = Model("kept"), Model("gone"), Model("waiting"), Model("new", preload=True)
    with serving([gone, kept, waiting], memory=3) as server:
        server.said(kept)
        gone.engine.hold(before=FIRST_TOKEN)
        running = server.later(gone)
        until(lambda: gone.engine.waiting == 1)
        waiting.hold_loading()
        abandoned = server.later(waiting)
        until(lambda: waiting.loading == 1)
        assert kept.loop is not None
        kept.loop.call_soon_threadsafe(server.registry.replace, [kept.entry, new.entry], 3)
        assert abandoned.result().error[0] == "overloaded_error"
        until(lambda: server.states == {"kept": "loaded", "new": "loaded"})
        assert server.ask(gone).status == HTTPStatus.NOT_FOUND
        assert (server.said("claude-opus-4-5"), server.said(new)) == ("I am kept.", "I am new.")
        assert len(kept.engines) == 1
        gone.engine.release()
        assert running.result().json["content"][0]["text"] == "I am gone."
        until(lambda: gone.open == 0)
    for model in (gone, waiting):
        model.release_loading()
