"""`/v1/files`, used through the SDKs of both APIs: uploads, lists, contents, deletion, owners, and files in messages."""

import gzip
import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from conftest import MODEL, Serve, body, live_registry, registry_of, user
from controllable_engine import ControllableEngine
from dragoman.server import create_app
from dragoman.server.access.auth import Keyring
from dragoman.storage.place import Place
from server.http import ask, get, post

FORM = "multipart/form-data; boundary=x"


@pytest.fixture
def client(engine: ControllableEngine) -> Iterator[Anthropic]:
    """The SDK, on a server without files."""
    with Anthropic(base_url=engine.url, api_key="any", max_retries=0) as client:
        for file in client.files.list():
            client.files.delete(file.id)
        yield client


def form(*parts: str) -> bytes:
    return b"".join(f"--x\r\ncontent-disposition: form-data; {part}\r\n".encode() for part in parts) + b"--x--\r\n"


def document(file_id: str, kind: str = "document") -> dict[str, Any]:
    return {"role": "user", "content": [{"type": kind, "source": {"type": "file", "file_id": file_id}}]}


@pytest.mark.clause("FIL-1")
def test_an_uploaded_file_is_described(client: Anthropic) -> None:
    file = client.files.upload(file=("folder/rain.txt", b"It rains.", "text/plain"))
    assert file.id.startswith("file_")
    assert (file.filename, file.mime_type, file.size_bytes, file.type) == ("rain.txt", "text/plain", 9, "file")
    assert (file.downloadable, file.expires_at) == (False, None)
    assert client.files.retrieve_metadata(file.id) == file
    assert client.beta.files.retrieve_metadata(file.id).id == file.id
    assert client.files.upload(file=b"It rains.").filename.startswith("unnamed")  # sent without a name
    later = client.files.upload(file=("b.txt", b""), expires_in_seconds=3600)
    assert later.expires_at is not None
    assert (later.expires_at - later.created_at).total_seconds() == 3600


@pytest.mark.clause("TRN-13")
def test_a_compressed_upload_is_kept_decompressed(engine: ControllableEngine) -> None:
    sent = gzip.compress(form('name="file"; filename="a.txt"\r\n\r\n' + "It rains. " * 1000))
    kept = post(engine.url, sent, "/v1/files", content_type=FORM, content_encoding="gzip")
    assert kept.json["size_bytes"] == 10_000
    refused = post(engine.url, sent[:-9], "/v1/files", content_type=FORM, content_encoding="gzip")
    assert (refused.status, refused.json["error"]["details"]["error_code"]) == (400, "request_body_encoding_invalid")


@pytest.mark.clause("FIL-1")
@pytest.mark.parametrize(
    ("part", "name", "kind"),
    [
        ('filename=""\r\ncontent-type: application/pdf', "unnamed.pdf", "application/pdf"),
        ('filename="a.png"', "a.png", "image/png"),
        ('filename="C:\\\\x\\\\a.txt"\r\ncontent-type: application/octet-stream', "a.txt", "text/plain"),
        ('filename="a"', "a", "application/octet-stream"),
    ],
)
def test_a_name_and_a_type_are_found_for_every_file(engine: ControllableEngine, part: str, name: str, kind: str) -> None:
    answer = post(engine.url, form(f'name="file"; {part}\r\n\r\nabc'), "/v1/files", content_type=FORM)
    assert answer.status == HTTPStatus.OK, answer.content
    assert (answer.json["filename"], answer.json["mime_type"]) == (name, kind)


def test_bytes_without_a_name_are_a_file_too(engine: ControllableEngine) -> None:
    """The SDKs send bytes so."""
    answer = post(engine.url, form('name="file"\r\n\r\nab\xff'), "/v1/files", content_type=FORM)
    assert answer.status == HTTPStatus.OK, answer.content
    assert answer.json["filename"] == "unnamed.bin"


@pytest.mark.clause("FIL-1", "TRN-12")
@pytest.mark.parametrize(
    ("content", "headers", "status", "message"),
    [
        (b"{}", {}, 400, "content-type: must be multipart/form-data"),
        (b"--x--\r\n", {"content_type": "multipart/form-data"}, 400, "Missing boundary"),
        (b"--y", {}, 400, "the body is not a valid form"),
        (form('name="other"\r\n\r\nabc'), {}, 400, "file: Field required"),
        (form(f'name="file"; filename="{"a" * 256}"\r\n\r\nabc'), {}, 400, "file: its name"),
        (form('name="file"; filename="a"\r\n\r\nabc', 'name="expires_in_seconds"\r\n\r\n3599'), {}, 400, "expires_in_seconds:"),
        (form('name="file"; filename="a"\r\n\r\nabc', 'name="expires_in_seconds"\r\n\r\n²'), {}, 400, "expires_in_seconds:"),
        (b"", {"content_length": "600000000"}, 413, "Request exceeds the maximum size"),
        (form('name="file"; filename="a"\r\n\r\nabc'), {"anthropic_version": "2020-01-01"}, 400, "not a valid version"),
    ],
)
def test_a_wrong_upload_is_refused_by_name(
    engine: ControllableEngine, content: bytes, headers: dict[str, str], status: int, message: str
) -> None:
    if content == b"{}":
        headers = {"content_type": "application/json"}
    answer = post(engine.url, content, "/v1/files", **{"content_type": FORM, **headers})
    assert answer.status == status
    assert message in answer.error[1]


@pytest.mark.clause("FIL-2", "TRN-15")
def test_files_are_listed_newest_first_in_pages(client: Anthropic) -> None:
    ids = [client.files.upload(file=(f"{number}.txt", b"x")).id for number in range(5)][::-1]
    assert [file.id for file in client.files.list(limit=2)] == ids
    assert [file.id for file in client.beta.files.list(limit=2)] == ids
    page = client.files.list(limit=2)
    client.files.delete(ids[1])
    assert [file.id for file in page.get_next_page().data] == ids[2:4]  # the file at the edge of the page is gone
    assert [file.id for file in client.files.list(ids=[ids[3], "file_0", ids[0], ids[3]])] == [ids[3], ids[0]]


@pytest.mark.clause("FIL-2")
def test_older_clients_page_by_ids(client: Anthropic, engine: ControllableEngine) -> None:
    ids = [client.files.upload(file=(f"{number}.txt", b"x")).id for number in range(4)][::-1]
    version = "2023-06-01"
    after = get(engine.url, f"/v1/files?after_id={ids[0]}&limit=2", anthropic_version=version).json
    assert ([file["id"] for file in after["data"]], after["has_more"]) == (ids[1:3], True)
    assert (after["first_id"], after["last_id"]) == (ids[1], ids[2])
    before = get(engine.url, f"/v1/files?before_id={ids[3]}&limit=2", anthropic_version=version).json
    assert ([file["id"] for file in before["data"]], before["has_more"]) == (ids[1:3], True)
    assert get(engine.url, "/v1/files?after_id=file_0", anthropic_version=version).json["data"] == []


@pytest.mark.clause("FIL-2")
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("page=page_x", "page: Input should be"),
        ("page=%C2%B2", "page: Input should be"),
        ("limit=0", "limit: Input should be"),
        ("ids[]=a&limit=1", "ids: cannot be combined"),
        ("&".join(f"ids[]={number}" for number in range(101)), "ids: List should have at most 100 items"),
    ],
)
def test_a_wrong_list_is_refused_by_name(engine: ControllableEngine, query: str, message: str) -> None:
    answer = get(engine.url, f"/v1/files?{query}", anthropic_version="2023-06-01")
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert message in answer.error[1]


@pytest.mark.clause("FIL-3", "ERR-4")
def test_an_uploaded_file_is_not_downloaded(client: Anthropic) -> None:
    file = client.files.upload(file=("a.txt", b"abc"))
    with pytest.raises(anthropic.BadRequestError) as raised:
        client.files.download(file.id)
    assert raised.value.body["error"]["details"] == {"error_code": "file_not_downloadable"}


@pytest.mark.clause("FIL-3")
def test_files_beyond_the_limit_are_refused(serve: Serve) -> None:
    with Anthropic(base_url=serve(files_limit=10), api_key="any", max_retries=0) as client:
        first = client.files.upload(file=("a.txt", b"12345678"))
        with pytest.raises(anthropic.BadRequestError, match="this server keeps at most 10") as raised:
            client.files.upload(file=("b.txt", b"123"))
        assert raised.value.body["error"]["details"] == {"error_code": "storage_quota_exceeded"}
        client.files.delete(first.id)
        client.files.upload(file=("b.txt", b"123"))


@pytest.mark.clause("FIL-2")
def test_a_deleted_file_is_gone(client: Anthropic) -> None:
    file = client.files.upload(file=("a.txt", b"abc"))
    deleted = client.files.delete(file.id)
    assert (deleted.id, deleted.type) == (file.id, "file_deleted")
    for attempt in (client.files.retrieve_metadata, client.files.delete, client.files.download):
        with pytest.raises(anthropic.NotFoundError, match=f"File `{file.id}` not found."):
            attempt(file.id)


@pytest.mark.clause("FIL-4")
def test_the_model_reads_a_file(client: Anthropic, engine: ControllableEngine) -> None:
    file = client.files.upload(file=("a.txt", b"The sea is calm."))
    for _ in range(2):
        assert post(engine.url, body(document(file.id))).status == HTTPStatus.OK
        assert "The sea is calm." in words(engine)
    counted = post(engine.url, body(document(file.id)), "/v1/messages/count_tokens").json["input_tokens"]
    assert counted == len(engine.prompts[-1])
    client.files.delete(file.id)
    refused = post(engine.url, body(document(file.id)))
    assert refused.status == HTTPStatus.BAD_REQUEST
    assert f"messages.0.content.0.document.source.file.file_id: File `{file.id}` not found." in refused.error[1]


@pytest.mark.clause("FIL-4")
def test_a_file_of_the_history_that_is_gone_becomes_a_note(client: Anthropic, engine: ControllableEngine) -> None:
    turns = [document("file_0"), {"role": "assistant", "content": "Hm."}, user("Well?")]
    assert post(engine.url, body(*turns)).status == HTTPStatus.OK
    assert "file_0" in words(engine)
    file = client.files.upload(file=("a.txt", b""))
    assert "it is empty" in post(engine.url, body(document(file.id))).error[1]


def test_openai_s_sdk_has_the_same_files(client: Anthropic, engine: ControllableEngine) -> None:
    with OpenAI(base_url=f"{engine.url}/v1", api_key="any", max_retries=0) as sdk:
        file = sdk.files.create(file=("a.jsonl", b'{"a": 1}\n'), purpose="batch")
        assert (file.filename, file.bytes, file.purpose, file.status) == ("a.jsonl", 9, "batch", "processed")
        assert file.expires_at == pytest.approx(file.created_at + 30 * 86400, abs=1)
        assert sdk.files.retrieve(file.id) == file
        assert sdk.files.content(file.id).content == b'{"a": 1}\n'
        other = sdk.files.create(
            file=("b.txt", b"b"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
        )
        assert [each.id for each in sdk.files.list()] == [other.id, file.id]
        assert [each.id for each in sdk.files.list(limit=1, order="asc")] == [file.id, other.id]
        assert [each.id for each in sdk.files.list(purpose="batch")] == [file.id]
        assert {each.id for each in client.files.list()} == {other.id, file.id}
        assert sdk.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError, match="not found"):
            sdk.files.content(file.id)
        with pytest.raises(openai.BadRequestError, match="purpose: Input should be one of"):
            sdk.files.create(file=("b.txt", b"b"), purpose="other")
        asked: Any = [{"type": "file", "file": {"file_id": other.id}}]
        sdk.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": asked}])
        assert "<document>" in words(engine)


def test_a_key_finds_its_own_files_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text('[ann]\nkey = "sk-ann"\n[bob]\nkey = "sk-bob"\n', encoding="utf-8")
    engine = ControllableEngine()
    registry = registry_of(engine, id=MODEL)
    with live_registry(registry, create_app(registry, keyring=Keyring.read(file))) as url:
        with Anthropic(base_url=url, api_key="sk-ann") as ann:
            kept = ann.files.upload(file=("a.txt", b"The sea is calm."))
        assert post(url, body(document(kept.id)), x_api_key="sk-ann").status == HTTPStatus.OK
        assert post(url, body(document(kept.id)), x_api_key="sk-bob").status == HTTPStatus.BAD_REQUEST
        with Anthropic(base_url=url, api_key="sk-bob") as bob:
            assert list(bob.files.list()) == []
            with pytest.raises(anthropic.NotFoundError):
                bob.files.delete(kept.id)


def test_files_outlive_the_server(serve: Serve, tmp_path: Path) -> None:
    with Anthropic(base_url=serve(place=Place(tmp_path)), api_key="any") as client:
        file = client.files.upload(file=("a.txt", b"The sea is calm."))
    url = serve(place=Place(tmp_path))
    with Anthropic(base_url=url, api_key="any") as client:
        assert client.files.retrieve_metadata(file.id) == file
    assert post(url, body(document(file.id))).status == HTTPStatus.OK


def test_a_store_that_cannot_be_used_is_a_clear_error(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    answer = ask(serve(place=Place(tmp_path / "data")), "GET", "/v1/files", anthropic_version="2023-06-01")
    assert (answer.status, answer.error) == (500, ("api_error", "the database cannot be used"))


def words(engine: ControllableEngine) -> str:
    """The text of the newest prompt."""
    return "".join(engine.words[token] for token in engine.prompts[-1])


def test_an_error_has_the_format_of_the_api_that_was_used(engine: ControllableEngine) -> None:
    assert get(engine.url, "/v1/files/x", anthropic_version="2023-06-01").error[0] == "not_found_error"
    assert json.loads(get(engine.url, "/v1/files/x").content)["error"]["type"] == "invalid_request_error"
