"""Checks of `/v1/models`, from which clients learn the models and their context windows."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed, Skip
from dragoman.doctor.client import MODELS, Client

SUBJECT = Subject("models")
CAPABILITIES = {
    "batch", "citations", "code_execution", "context_management", "effort", "image_input", "pdf_input", "server_tools",
    "structured_outputs", "thinking",
}  # fmt: skip


async def _page(client: Client) -> dict[str, Any]:
    return (await client.ask("GET", MODELS)).expect(200).object


def _models(page: dict[str, Any]) -> list[dict[str, Any]]:
    data = page.get("data")
    return [model for model in data if isinstance(model, dict)] if isinstance(data, list) else []


async def _first(client: Client) -> dict[str, Any]:
    models = _models(await client.once(_page))
    if not models:
        raise Skip("the list has no model")
    return models[0]


@SUBJECT.check("the list is a page", "without has_more the SDK requests the next page for ever", "MOD-1", "MOD-2")
async def models_list(client: Client) -> None:
    page = await client.once(_page)
    data = _models(page)
    if not data:
        raise CheckFailed("data is not a list of models")
    if page.get("has_more") is not False:
        raise CheckFailed(f"has_more is {page.get('has_more')!r} on a page with all models")
    ends = [data[0].get("id"), data[-1].get("id")]
    if [page.get("first_id"), page.get("last_id")] != ends:
        raise CheckFailed(f"first_id and last_id are {page.get('first_id')!r} and {page.get('last_id')!r}")


@SUBJECT.check("paging comes to an end", "with a server that ignores after_id the SDK never stops", "MOD-1", "MOD-2")
async def models_paging(client: Client) -> None:
    ids: list[str] = []
    after = ""
    for _ in range(50):
        page = (await client.ask("GET", f"{MODELS}?limit=1{after}")).expect(200).object
        found = [str(model.get("id")) for model in _models(page)]
        if set(found) & set(ids):
            raise CheckFailed(f"{found[0]} comes again on a later page")
        ids += found
        if not found or page.get("has_more") is False:
            break
        after = f"&after_id={page.get('last_id')}"
    rest = (await client.ask("GET", f"{MODELS}?after_id={ids[-1]}")).expect(200).object if ids else {}
    for model in _models(rest):
        raise CheckFailed(f"after the last model comes {model.get('id')} again")


@SUBJECT.check("a model has all its fields", "the SDK's type requires these fields, model pickers show them", "MOD-3", "MOD-4")
async def models_item(client: Client) -> None:
    model = await _first(client)
    if model.get("type") != "model":
        raise CheckFailed(f"type is {model.get('type')!r}")
    for name in ("id", "display_name", "created_at"):
        if not isinstance(model.get(name), str):
            raise CheckFailed(f"{name} is {model.get(name)!r}")
    try:
        datetime.fromisoformat(model["created_at"])
    except ValueError as error:
        raise CheckFailed(f"created_at is {model['created_at']!r}") from error
    if model.get("lifecycle") not in ("active", "deprecated", "retired"):
        raise CheckFailed(f"lifecycle is {model.get('lifecycle')!r}")


@SUBJECT.check("the context window is reported", "clients assume 200,000 tokens, and their requests fail", "MOD-4")
async def models_window(client: Client) -> None:
    model = await _first(client)
    for name in ("max_input_tokens", "max_tokens"):
        if not isinstance(model.get(name), int):
            raise CheckFailed(f"{name} is {model.get(name)!r}")


@SUBJECT.check("capabilities are complete or null", "the SDK's strict validation fails on a part of them", "MOD-5")
async def models_capabilities(client: Client) -> None:
    capabilities = (await _first(client)).get("capabilities")
    if capabilities is None:
        return
    if not isinstance(capabilities, dict):
        raise CheckFailed(f"capabilities is {capabilities!r:.80}")
    if missing := CAPABILITIES - set(capabilities):
        raise CheckFailed(f"capabilities lack {', '.join(sorted(missing))}")
    for path in _without_supported(capabilities):
        raise CheckFailed(f"capabilities.{path} does not say whether it is supported")


def _without_supported(capabilities: dict[str, Any]) -> Iterator[str]:
    for name, value in capabilities.items():
        if not isinstance(value, dict) or not isinstance(value.get("supported"), bool):
            yield name


@SUBJECT.check("one model can be requested", "clients look up the context window of their model", "MOD-6", "TRN-14")
async def models_one(client: Client) -> None:
    found = (await client.one_model(str((await _first(client)).get("id")))).expect(200).object
    if not isinstance(found.get("id"), str):
        raise CheckFailed(f"id is {found.get('id')!r}")


@SUBJECT.check("an unknown model is a 404 in the list too", "clients take any other answer for a broken server", "MOD-6")
async def models_unknown(client: Client) -> None:
    (await client.one_model("no/such-model")).expect(404)


@SUBJECT.check(
    "claude names are served and echoed",
    "clients have built-in names, also for small side requests",
    "CC-6",
    "RES-3",
)
async def claude_names(client: Client) -> None:
    for name in ("claude-sonnet-4-5", "claude-haiku-4-5-20251001", "claude-opus-4-6[1m]"):
        message = await client.message({"model": name, "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]})
        if message.model != name:
            raise CheckFailed(f"requested {name}, the answer has {message.model}")
