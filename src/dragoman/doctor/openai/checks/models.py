"""Checks of `/v1/models`, from which clients learn the names of the models."""

from dragoman.doctor.check import Subject
from dragoman.doctor.check_failed import CheckFailed
from dragoman.doctor.client import MODELS, Client
from dragoman.doctor.openai.form import Object, objects

SUBJECT = Subject("models")
FIELDS = {"id": str, "object": str, "created": int, "owned_by": str}


async def _page(client: Client) -> Object:
    return (await client.ask("GET", MODELS)).expect(200).object


def _check_model(model: Object) -> None:
    for name, kind in FIELDS.items():
        if not isinstance(model.get(name), kind):
            raise CheckFailed(f"{name} is {model.get(name)!r}")
    if model["object"] != "model":
        raise CheckFailed(f"object is {model['object']!r}")


@SUBJECT.check("models are a list, with all their fields", "the SDK's type requires these fields", "MOD-7")
async def models_list(client: Client) -> None:
    page = await client.once(_page)
    if page.get("object") != "list":
        raise CheckFailed(f"object is {page.get('object')!r}")
    models = objects(page.get("data"), "data")
    if not models:
        raise CheckFailed("data is empty")
    for model in models:
        _check_model(model)


@SUBJECT.check("one model can be requested", "clients look up their model before the first request", "MOD-6", "MOD-7")
async def models_one(client: Client) -> None:
    _check_model((await client.one_model(client.model)).expect(200).object)


@SUBJECT.check("an unknown model is a 404 in the list too", "clients take any other answer for a broken server", "MOD-6")
async def models_unknown(client: Client) -> None:
    (await client.one_model("no/such-model")).expect(404)
