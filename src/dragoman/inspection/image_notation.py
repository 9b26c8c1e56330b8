"""Finds how a chat template writes an image: `<|vision_start|><|image_pad|><|vision_end|>`.

Engines that take images beside token ids find the place of an image in a prompt by this notation.
"""

import re
from typing import Final

from dragoman.prompt.profile import DEFAULT_VARIABLES
from dragoman.prompt.template import ChatTemplate, TemplateRefusal

_LONGEST: Final = 200
"""Characters of a notation; more is not one."""
_PRINTED_LIST: Final = re.compile(r"""["']type["']""")


def find_image_notation(template: ChatTemplate) -> str:
    """What the template renders for an image between two texts; "" where it renders none."""
    parts = [{"type": "text", "text": "Uq1"}, {"type": "image"}, {"type": "text", "text": "Uq8"}]
    try:
        text = template.render([{"role": "user", "content": parts}], **DEFAULT_VARIABLES)
    except TemplateRefusal:
        return ""
    found = re.search(r"Uq1(.*?)Uq8", text, re.DOTALL)
    if found is None or not found[1].strip() or len(found[1]) > _LONGEST or _PRINTED_LIST.search(text):
        return ""
    return found[1]
