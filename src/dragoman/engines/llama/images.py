"""Images in the prompts of llama.cpp's server.

- Token ids and images cannot be mixed in one prompt: a prompt with images is text with a marker for each image. The server
  splits the text at the markers and tokenizes each part by itself, as `/tokenize` does.
- Spellings of special tokens become special tokens, so the text must have none that are meant as text. The server adds the
  token for the beginning of a text, where the model has one; so that token is taken from the text. The prompt has it even if
  the template does not write it, so that it is counted (`Capabilities.beginning`).
- It reads PNG, JPEG, GIF and BMP, but not WebP, and refuses what it cannot read, or a wrong number of markers, with status 400.
- It recognizes an image that it has read by a hash of the bytes, in every slot and in its copies of slots.
- How many tokens an image has, with those around it, depends on the model and on the size of the image, not on its contents.
  `count_tokens` counts them without a slot, and without reading the image's contents into the model.
- `/props` says whether the model sees, and the marker, which is random for each start. In older versions it is fixed; and in
  some of them a second marker means the same.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw, UnsetType

from dragoman.conversation import Image, ImageSpan, Span
from dragoman.engines.http import EngineHttp
from dragoman.engines.image_files import blank_png
from dragoman.engines.image_lengths import ImageLengths
from dragoman.engines.llama.wire import Completion, CompletionReader, Count, MediaPrompt, Props, Tokens
from dragoman.errors import EngineError, EngineFailed
from dragoman.special_tokens import INVISIBLE

MARKERS: Final = ("<__media", "<__image__>")
"""How markers begin, or all of one: text that spells them must be escaped."""

_TRIAL_SIDE: Final = 64
_COUNTED: Final = "x"

_log = logging.getLogger(__name__)


class ImageInput:
    """The images that one server reads, whose model sees."""

    def __init__(self, http: EngineHttp, marker: str, beginning: str) -> None:
        """`beginning` is the special token that the server adds to the beginning of a text, "" if it adds none."""
        self._http = http
        self._marker = marker
        self.beginning = beginning
        self._counted_text = 0
        self._between = 0
        self._lengths = ImageLengths(self._measured)

    @classmethod
    async def probe(cls, http: EngineHttp, props: Props, slot: int | UnsetType) -> "ImageInput | None":
        """Find out whether the server reads images; None if it does not, or if their tokens cannot be counted."""
        if not props.modalities.vision:
            return None
        try:
            added = await http.call("POST", "/tokenize", Tokens, msgspec.json.encode({"content": "", "add_special": True}))
            if len(added.tokens) > bool(props.bos_token):
                raise EngineFailed("it adds tokens to the end of a text")
            found = cls(http, props.media_marker, props.bos_token if added.tokens else "")
            await found._calibrate(slot, len(added.tokens))
        except EngineError as error:
            _log.warning("%s: images are not used: %s", http.name, error)
            return None
        return found

    def prompt(self, spans: Sequence[Span]) -> MediaPrompt:
        """The body's prompt. May take some milliseconds for each megabyte of images."""
        images = [span.image for span in spans if isinstance(span, ImageSpan)]
        texts = [self._marker if isinstance(span, ImageSpan) else self._escaped(span.text) for span in spans]
        return MediaPrompt("".join(texts).removeprefix(self.beginning), [_in_base64(image.data) for image in images])

    async def length(self, image: Image) -> int:
        """The number of tokens of an image, with those that the server adds around it. Kept by the image's size."""
        return await self._lengths.of(image)

    async def _measured(self, image: Image) -> int:
        return await self._count(image) - self._counted_text - self._between

    async def renew_marker(self) -> bool:
        """Ask for the marker again; whether it is another one. Raises `EngineError`."""
        before, self._marker = self._marker, (await self._http.call("GET", "/props", Props)).media_marker
        return self._marker != before

    def _escaped(self, text: str) -> str:
        """The text without this server's marker, which only the model could have spelled."""
        return text.replace(self._marker, self._marker[0] + INVISIBLE + self._marker[1:])

    async def _calibrate(self, slot: int | UnsetType, added: int) -> None:
        """Find out what counting a message with an image counts too much, by an image in a prompt of its own."""
        self._counted_text = await self._count()
        trial = Image(blank_png(_TRIAL_SIDE, _TRIAL_SIDE), "image/png", "trial")
        counted = await self._count(trial)
        length = await self._prefilled(MediaPrompt(self._marker, [_in_base64(trial.data)]), slot) - added
        self._between = counted - self._counted_text - length

    async def _count(self, image: Image | None = None) -> int:
        """The server's count of a short message, with this image or without one."""
        content: list[dict[str, object]] = [{"type": "text", "text": _COUNTED}]
        if image is not None:
            source = {"type": "base64", "media_type": image.media_type, "data": _in_base64(image.data)}
            content.append({"type": "image", "source": source})
        body = {"model": "", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}
        encoded = await asyncio.to_thread(msgspec.json.encode, body)
        return (await self._http.call("POST", "/v1/messages/count_tokens", Count, encoded)).input_tokens

    async def _prefilled(self, prompt: MediaPrompt, slot: int | UnsetType) -> int:
        """The length of a prompt by the first report of its progress, after which the request is cancelled."""
        reader = CompletionReader()
        body = msgspec.json.encode(Completion(prompt, 1, id_slot=slot))
        async with self._http.stream("/completion", body) as answer:
            async for data in answer:
                for chunk in reader.feed(data):
                    if chunk.prefill is not None:
                        return chunk.prefill.total
        raise EngineFailed("it does not report the progress of a prompt")


def _in_base64(data: bytes) -> Raw:
    return Raw(b'"' + b64encode(data) + b'"')
