"""Images in prompts: a placeholder in the text takes the place of each, until the text of the prompt is split at them.

So dialects and templates see only text, and an image is where its placeholder is rendered: in a user turn, in the result of a
tool, inside JSON that a template writes. Templates' own notations of images are not used: the engine writes what its model
needs around an image. Text and images that are adjacent are joined without a separator, as those templates do.

A placeholder is random, so that no text of a client contains one.
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from dragoman.conversation import Dialogue, Image, Text, ToolResult, Turn

Piece = str | Image


@dataclass(frozen=True, slots=True)
class PlacedImages:
    """The images of a prompt by their placeholders, in the order of the conversation."""

    images: Mapping[str, Image]

    def pieces(self, text: str) -> Sequence[Piece]:
        """The rendered text as texts and images; no text is empty."""
        if not self.images:
            return [text]
        pattern = "|".join(map(re.escape, self.images))
        return [self.images.get(piece, piece) for piece in re.split(f"({pattern})", text) if piece]

    def within(self, text: str) -> "PlacedImages":
        """Those whose placeholders are in the rendered text."""
        return PlacedImages({placeholder: image for placeholder, image in self.images.items() if placeholder in text})

    def replaced(self, by_digest: Mapping[str, Image]) -> "PlacedImages":
        """The same with other images of the same digests, such as those that have the bytes."""
        return PlacedImages({placeholder: by_digest[image.digest] for placeholder, image in self.images.items()})


NO_IMAGES = PlacedImages({})


def place_images(dialogue: Dialogue, paragraph: str) -> tuple[Dialogue, PlacedImages]:
    """The dialogue with placeholders instead of images. `paragraph` separates adjacent texts of a turn."""
    if not any(_images_of(dialogue)):
        return dialogue, NO_IMAGES
    placer = _Placer(paragraph)
    return replace(dialogue, turns=[placer.turn(turn) for turn in dialogue.turns]), PlacedImages(placer.images)


def _images_of(dialogue: Dialogue) -> Iterator[Image]:
    for turn in dialogue.turns:
        for part in turn.content:
            if isinstance(part, Image):
                yield part
            elif isinstance(part, ToolResult):
                yield from (inner for inner in part.content if isinstance(inner, Image))


class _Placer:
    """Puts placeholders into turns."""

    def __init__(self, paragraph: str) -> None:
        self.images: dict[str, Image] = {}
        self._paragraph = paragraph
        self._secret = secrets.token_hex(16)

    def turn(self, turn: Turn) -> Turn:
        """The turn without images."""
        content = [
            replace(part, content=self._joined(part.content, "\n")) if isinstance(part, ToolResult) else part
            for part in turn.content
        ]
        return replace(turn, content=self._joined(content, self._paragraph))

    def _joined(self, parts: Iterable[Any], separator: str) -> list[Any]:
        """The parts with each run of texts and images as one text, if it has images."""
        joined: list[Any] = []
        for is_run, group in groupby(parts, key=lambda part: isinstance(part, Text | Image)):
            run = list(group)
            has_image = is_run and any(isinstance(part, Image) for part in run)
            joined += [Text(self._text(run, separator))] if has_image else run
        return joined

    def _text(self, run: Sequence[Text | Image], separator: str) -> str:
        text = ""
        after_text = False
        for part in run:
            if isinstance(part, Image):
                text, after_text = text + self._placeholder(part), False
            else:
                text, after_text = text + separator * after_text + part.text, True
        return text

    def _placeholder(self, image: Image) -> str:
        placeholder = f"image{self._secret}n{len(self.images)}e"
        self.images[placeholder] = image
        return placeholder
