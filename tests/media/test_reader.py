"""Reading the attachments of a dialogue: from data, from URLs, by descriptions; each once."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest
import pytest_asyncio
from aiohttp import web
from PIL import Image as Pictures

from dragoman.conversation import Attachment, AttachmentKind, Dialogue, Image, Inline, Role, Text, ToolResult, Turn, Url
from dragoman.errors import InvalidRequest
from dragoman.limits import DEFAULT
from dragoman.media import pdf as pdf_module
from dragoman.media import reader as reader_module
from dragoman.media.descriptions import Descriptions
from dragoman.media.fetching import Fetcher
from dragoman.media.image_decoding import LONGEST_SIDE
from dragoman.media.outcomes import Outcome, Sight
from dragoman.media.reader import FIRST_FRAME, MediaReader
from dragoman.media.vision import Undescribed, Vision
from media.inline_pool import InlinePool
from media.pdf_files import scan, text_pdf
from media.pictures import encoded, half, in_base64

SEES = Sight(images=True)
RED = encoded(half())


def inline(data: bytes, kind: AttachmentKind = AttachmentKind.IMAGE) -> Attachment:
    return Attachment(kind, Inline(in_base64(data), "x/y"), "messages.0.content.0", "data")


def dialogue_of(*content: Attachment | Text) -> Dialogue:
    return Dialogue((Turn(Role.USER, content),), attachments=len(content), newest="messages.0.")


@pytest.fixture(autouse=True)
def _inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in this process: other tests have workers."""
    for module in (reader_module, pdf_module):
        monkeypatch.setattr(module, "WorkerPool", InlinePool)


@pytest_asyncio.fixture
async def readers() -> AsyncGenerator[list[MediaReader]]:
    made: list[MediaReader] = []
    yield made
    for reader in made:
        await reader.close()


async def parts_of(reader: MediaReader, *content: Attachment) -> Sequence[object]:
    return (await reader.read(dialogue_of(*content))).turns[0].content


@pytest.mark.clause("IN-2", "IN-5")
async def test_what_a_file_is_follows_from_its_bytes(readers: list[MediaReader]) -> None:
    readers.append(reader := MediaReader(SEES))
    page = Text('<page number="1">\nIt rains.\n</page>')
    assert await parts_of(reader, inline(text_pdf(b"It rains."))) == (page,)
    (note,) = await parts_of(reader, inline(b"a,b\n1,2\n", AttachmentKind.DOCUMENT))
    assert note == Text("<document>\n<content>\na,b\n1,2\n\n</content>\n</document>")
    before, image, after = await parts_of(reader, inline(RED, AttachmentKind.DOCUMENT))
    assert isinstance(image, Image)
    assert (image.data, image.media_type) == (RED, "image/png")
    assert (before, after) == (Text("<document>\n<content>"), Text("</content>\n</document>"))


async def test_images_in_the_result_of_a_call_stay_in_their_place(readers: list[MediaReader]) -> None:
    readers.append(reader := MediaReader(SEES))
    result = ToolResult("a", "look", (Text("Here:"), inline(RED), Text("End.")), is_error=False)
    dialogue = await reader.read(replace(dialogue_of(inline(RED)), turns=(Turn(Role.USER, (result,)),)))
    (read,) = dialogue.turns[0].content
    assert isinstance(read, ToolResult)
    assert [type(part) for part in read.content] == [Text, Image, Text]
    assert (dialogue.attachments, read.text) == (0, "Here:\nEnd.")


async def test_an_animation_has_a_note_for_the_model_and_one_for_the_log(readers: list[MediaReader]) -> None:
    readers.append(reader := MediaReader(SEES))
    frames = encoded(half(), "GIF", save_all=True, append_images=[Pictures.new("RGB", (40, 20))])
    dialogue = await reader.read(dialogue_of(inline(frames)))
    assert dialogue.turns[0].content[1] == Text(FIRST_FRAME)
    assert dialogue.notes == ("reduced: an image of several frames or pages, to the first",)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "Could not process image: it is empty."),
        ("AA=A", "Could not process image: its data is not valid base64."),
        ("🦊🦊🦊🦊", "Could not process image: its data is not valid base64."),
        ("A" * 4000, "image exceeds 1,000 bytes (attachment_bytes)."),
        (in_base64(b"hello"), "Could not process image: it has a format that this server does not decode."),
        (in_base64(b"%PDF-1.7\n"), "The PDF specified was not valid."),
    ],
)
async def test_what_cannot_be_read_is_refused_with_its_reason(readers: list[MediaReader], data: str, reason: str) -> None:
    readers.append(reader := MediaReader(replace(SEES, limits=replace(DEFAULT, attachment_bytes=1000))))
    broken = replace(inline(b""), source=Inline(data, "image/png"))
    with pytest.raises(InvalidRequest) as refused:
        await reader.read(dialogue_of(broken))
    assert refused.value.message == f"messages.0.content.0.data: {reason} (capability_rejected: image_block)"


@pytest.mark.clause("IN-2", "ERR-4")
async def test_an_image_is_refused_instead_of_scaled_down_if_the_client_wants_that(readers: list[MediaReader]) -> None:
    readers.append(reader := MediaReader(SEES))
    large = inline(encoded(half(size=(LONGEST_SIDE + 1, 10))))
    assert isinstance((await parts_of(reader, large))[0], Image)
    with pytest.raises(InvalidRequest) as refused:
        await reader.read(dialogue_of(replace(large, full_size=True)))
    assert refused.value.details is not None
    assert refused.value.details["error_code"] == "image_dimensions_too_large"
    assert (await parts_of(reader, replace(inline(RED), full_size=True)))[0] != ()
    older = replace(dialogue_of(replace(large, full_size=True)), newest="messages.2.")
    assert isinstance((await reader.read(older)).turns[0].content[0], Image)


async def test_base64_may_have_line_breaks(readers: list[MediaReader]) -> None:
    readers.append(reader := MediaReader(SEES))
    broken_up = "\r\n".join(in_base64(RED)[start : start + 76] for start in range(0, len(in_base64(RED)), 76))
    (image,) = await parts_of(reader, replace(inline(b""), source=Inline(broken_up, "image/png")))
    assert isinstance(image, Image)
    assert image.data == RED


async def test_there_are_at_most_so_many_attachments(readers: list[MediaReader]) -> None:
    readers.append(reader := MediaReader(replace(SEES, limits=replace(DEFAULT, attachments=2))))
    with pytest.raises(InvalidRequest, match=r"the limit is 2 \(attachments\)"):
        await reader.read(dialogue_of(*[inline(RED)] * 3))


class Describer(Vision):
    """A vision model that counts what it is asked; the first calls are `failures`, and from a number on none is answered."""

    def __init__(self, failures: int = 0) -> None:
        self.asked = 0
        self.failures = failures
        self.held_from = 1000

    async def start(self) -> None:
        pass

    async def describe(self, image: Image) -> str:
        self.asked += 1
        await asyncio.sleep(0)
        if self.asked >= self.held_from:
            await asyncio.Event().wait()
        if self.asked <= self.failures:
            raise Undescribed("tired")
        return f"{len(image.data)} bytes."

    async def close(self) -> None:
        pass


async def test_each_image_is_described_once_for_a_model_that_does_not_see(readers: list[MediaReader]) -> None:
    readers.append(reader := MediaReader(Sight(), vision=(vision := Describer())))
    description = Text(f'<image described-by="another model">\n{len(RED)} bytes.\n</image>')
    results = await asyncio.gather(*(parts_of(reader, inline(RED), inline(RED)) for _ in range(3)))
    assert [*results, await parts_of(reader, inline(RED), inline(RED))] == [(description, description)] * 4
    assert vision.asked == 1
    assert (await reader.read(dialogue_of(inline(RED)))).notes == ("described: images, by the vision model",)


async def test_scanned_pages_are_described_too(readers: list[MediaReader]) -> None:
    readers.append(reader := MediaReader(Sight(), vision=Describer()))
    (text,) = await parts_of(reader, inline(scan(1, 1, b"\xff\0\0"), AttachmentKind.DOCUMENT))
    assert isinstance(text, Text)
    assert '<page number="1">\n<image described-by="another model">' in text.text


async def test_an_image_that_was_not_described_is_a_note(readers: list[MediaReader]) -> None:
    readers.append(reader := MediaReader(Sight(), vision=Describer(failures=1)))
    dialogue = await reader.read(dialogue_of(inline(RED)))
    assert dialogue.turns[0].content == (
        Text("[image omitted: this model cannot see images, and the one that describes them failed]"),
    )
    assert dialogue.notes == ("omitted: images that the vision model did not describe",)


async def test_the_time_for_the_attachments_of_a_request_is_limited_and_the_next_continues(readers: list[MediaReader]) -> None:
    readers.append(reader := MediaReader(Sight(), vision=(vision := Describer())))
    scanned = inline(scan(1, 1, b"\xff\0\0"), AttachmentKind.DOCUMENT)
    await reader.read(dialogue_of(scanned))
    vision.held_from = 3
    limits = reader.sight.limits
    reader.sight = replace(reader.sight, limits=replace(limits, attachment_seconds=0.3))
    three = [inline(RED), inline(encoded(half(size=(3, 3)))), inline(encoded(half(size=(4, 4))))]
    with pytest.raises(InvalidRequest) as refused:
        await reader.read(dialogue_of(scanned, *three))
    assert refused.value.message == (
        "messages.0.content.0.data: Reading the attachments of a request takes more than 0.3 s (attachment_seconds)."
        " (capability_rejected: image_block)"
    )
    older = await reader.read(replace(dialogue_of(*three), newest="messages.1."))
    assert [str(older).count(words) for words in ("another model", "image omitted: it cannot be read")] == [1, 2]
    vision.held_from = 1000
    assert len(await parts_of(reader, *three)) == 3
    assert vision.asked == 6  # the page, and the images: the first once, the second three times, the third once


async def test_images_of_a_document_are_described_one_by_one_and_kept() -> None:
    descriptions = Descriptions(vision := Describer(failures=1))
    scanned = Outcome(tuple(Image(data, "image/png", digest=data.decode()) for data in (b"a", b"bb")))
    for asked in (2, 3, 3):
        await descriptions.in_place_of(scanned)
        assert vision.asked == asked


async def test_a_model_that_sees_gets_no_descriptions(readers: list[MediaReader]) -> None:
    readers.append(reader := MediaReader(SEES, vision=(vision := Describer())))
    assert isinstance((await parts_of(reader, inline(RED)))[0], Image)
    assert vision.asked == 0


async def test_a_url_is_fetched_once(readers: list[MediaReader]) -> None:
    hits: list[str] = []

    async def picture(request: web.Request) -> web.Response:
        hits.append(request.path)
        return web.Response(body=RED) if request.path == "/red" else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{name}", picture)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    readers.append(reader := MediaReader(SEES, Fetcher(10_000, allows=lambda address: address == ip_address("127.0.0.1"))))
    linked = replace(inline(b""), source=Url(f"{url}/red"))
    for _ in range(2):
        (image,) = await parts_of(reader, linked)
        assert isinstance(image, Image)
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="Could not fetch the URL: it was answered with status 404"):
            await parts_of(reader, replace(linked, source=Url(f"{url}/gone")))
    assert hits == ["/red", "/gone"]
    await runner.cleanup()
