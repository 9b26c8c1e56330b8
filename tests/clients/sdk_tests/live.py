"""A pytest plugin for the SDK's generated tests: their fixtures, for a live server, with ids of things that exist there.

The tests name things that only a mock server has (`message_batch_id`). Each such id in a path or a body is replaced by that of
a thing that is made for it, and made again when a test has deleted it. It runs in a process of its own, with the SDK that
`DRAGOMAN_SDK` names, and writes the outcome of each test to `DRAGOMAN_REPORT`.
"""

import importlib
import json
import os
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_asyncio import is_async_test

SDK = importlib.import_module(os.environ["DRAGOMAN_SDK"])
SYNC, ASYNC = (SDK.Anthropic, SDK.AsyncAnthropic) if SDK.__name__ == "anthropic" else (SDK.OpenAI, SDK.AsyncOpenAI)
SERVER = os.environ["DRAGOMAN_SERVER"]
URL = os.environ["TEST_API_BASE_URL"]
JSON = {"content-type": "application/json"} | ({"anthropic-version": "2023-06-01"} if SDK.__name__ == "anthropic" else {})
HELLO = [{"role": "user", "content": "Hello."}]


def _answer(path: str, body: bytes | None = None, **headers: str) -> dict[str, Any]:
    request = urllib.request.Request(
        SERVER + path, body, JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    )
    with urllib.request.urlopen(request) as response:
        return dict(json.load(response))


def _batch() -> str:
    """A batch that has ended."""
    params = {"model": "claude-local", "max_tokens": 8, "messages": HELLO}
    batch = _answer("/v1/messages/batches", json.dumps({"requests": [{"custom_id": "one", "params": params}]}).encode())
    while batch["processing_status"] != "ended":
        batch = _answer(f"/v1/messages/batches/{batch['id']}")
    return str(batch["id"])


def _file(content: str = "Hello.", purpose: str = "user_data") -> str:
    fields = [f'name="purpose"\r\n\r\n{purpose}', f'name="file"; filename="a.txt"\r\n\r\n{content}']
    parts = "".join(f"--x\r\nContent-Disposition: form-data; {field}\r\n" for field in fields)
    return str(_answer("/v1/files", f"{parts}--x--\r\n".encode(), content_type="multipart/form-data; boundary=x")["id"])


def _input_file() -> str:
    """The input of a batch of responses."""
    line = {"custom_id": "one", "method": "POST", "url": "/v1/responses", "body": {"model": "claude-local", "input": "Hello."}}
    return _file(json.dumps(line), "batch")


def _openai_batch() -> str:
    fields = {"input_file_id": _input_file(), "endpoint": "/v1/responses", "completion_window": "24h"}
    return str(_answer("/v1/batches", json.dumps(fields).encode())["id"])


def _response() -> str:
    return str(_answer("/v1/responses", json.dumps({"model": "claude-local", "input": "Hello."}).encode())["id"])


MAKERS: dict[str, Callable[[], str]] = {
    "message_batch_id": _batch,
    "batch_id": _openai_batch,
    "input_file_id": _input_file,
    "file_id": _file,
    "response_id": _response,
    "resp_677efb5139a88190b512bc3fef8e535d": _response,
}
MADE: dict[str, str] = {}
MOCKED = False
"""Whether the current test mocks HTTP itself."""


def existing(options: Any) -> Any:
    """The options of a request, with ids that exist in its path and its body."""
    if MOCKED:
        return options
    path, *query = options.url.split("?", 1)
    parts = path.split("/")
    for place, part in enumerate(parts):
        if part in MAKERS:
            parts[place] = made(part)
            if options.method.lower() == "delete":
                del MADE[part]
    body = options.json_data
    if isinstance(body, dict):
        body = {name: made(value) if isinstance(value, str) and value in MAKERS else value for name, value in body.items()}
    return options.model_copy(update={"url": "?".join(["/".join(parts), *query]), "json_data": body})


def made(name: str) -> str:
    """The id of the thing that is made for a name."""
    return MADE.get(name) or MADE.setdefault(name, MAKERS[name]())


class Client(SYNC):  # type: ignore[misc, name-defined, valid-type]
    def _prepare_options(self, options: Any) -> Any:
        return super()._prepare_options(existing(options))


class AsyncClient(ASYNC):  # type: ignore[misc, name-defined, valid-type]
    async def _prepare_options(self, options: Any) -> Any:
        return await super()._prepare_options(existing(options))


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    with Client(base_url=URL, api_key="any", max_retries=0, _strict_response_validation=True) as client:
        yield client


@pytest.fixture(scope="session")
async def async_client() -> AsyncIterator[Any]:
    async with AsyncClient(base_url=URL, api_key="any", max_retries=0, _strict_response_validation=True) as client:
        yield client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the asynchronous tests in one loop, and each test once: with the strict client, which checks every type."""
    items[:] = [item for item in items if "[" not in item.name or item.name.endswith("[strict]")]
    for item in items:
        if is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note whether the test mocks HTTP."""
    globals()["MOCKED"] = any(name.startswith("respx") for name in getattr(item, "fixturenames", ()))


OUTCOMES: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the outcome of a test, and the message of a failure."""
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        OUTCOMES[report.nodeid] = crash.message if crash else report.longreprtext[-200:]
    elif report.when == "call":
        OUTCOMES.setdefault(report.nodeid, "")


def pytest_sessionfinish() -> None:
    """Write the outcomes, by test: an empty text, or why it failed."""
    Path(os.environ["DRAGOMAN_REPORT"]).write_text(json.dumps(OUTCOMES), encoding="utf-8")
