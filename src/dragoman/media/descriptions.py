"""Puts descriptions in the place of images, for a model that does not see.

<image described-by="another model">
A red square.
</image>
"""

import logging
from dataclasses import replace
from typing import Final

from dragoman.conversation import Image, Text
from dragoman.conversation.types import join_texts
from dragoman.kept import Kept
from dragoman.media.outcomes import Outcome, soon
from dragoman.media.vision import Undescribed, Vision

_LOG = logging.getLogger(__name__)
_NOTE = Text("[image omitted: this model cannot see images, and the one that describes them failed]")

_KEPT_BYTES: Final = 16 << 20
"""Of descriptions: those of a long scan are kept one by one, so that the next request continues one that ran out of time."""


class Descriptions:
    """Asks a vision model for descriptions, and keeps them by image."""

    def __init__(self, vision: Vision) -> None:
        self._vision = vision
        self._kept: Kept[str, Text] = Kept(_KEPT_BYTES)

    async def in_place_of(self, outcome: Outcome) -> Outcome:
        """The outcome with descriptions in the place of its images; if that fails, with notes, and another try soon."""
        images = list(outcome.images)
        if not images:
            return outcome
        found = {image.digest: await self._description(image) for image in images}
        parts = join_texts(found[part.digest] or _NOTE if isinstance(part, Image) else part for part in outcome.parts)
        failed = sum(found[image.digest] is None for image in images)
        notes = [*outcome.notes, "described: images, by the vision model"]
        if failed:
            notes = [*outcome.notes, "omitted: images that the vision model did not describe"]
        return replace(outcome, parts=parts, notes=notes, expires=soon() if failed else outcome.expires)

    async def _description(self, image: Image) -> Text | None:
        """The description of an image, None if there is none."""
        if kept := self._kept.get(image.digest):
            return kept
        try:
            words = await self._vision.describe(image)
        except Undescribed as error:
            _LOG.warning("an image was not described: %s", error)
            return None
        described = Text(f'<image described-by="another model">\n{words}\n</image>')
        self._kept.put(image.digest, described, 4 * len(words))
        return described
