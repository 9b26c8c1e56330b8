"""How templates write images."""

import pytest

from dragoman.inspection.image_notation import find_image_notation
from dragoman.prompt import ChatTemplate
from prompt import templates

TYPED = """\
{%- for message in messages %}{{ '[' + message.role + ']' }}
{%- if message.content is string %}{{ message.content }}{% else %}
{%- for part in message.content %}
{%- if part.type == 'image' %}{{ IMAGE }}{% else %}{{ part.text }}{% endif %}
{%- endfor %}{% endif %}{% endfor %}"""


@pytest.mark.parametrize("notation", ["<|vision_start|><|image_pad|><|vision_end|>", "[IMG]", "<start_of_image>"])
def test_the_notation_is_what_stands_between_two_texts(notation: str) -> None:
    assert find_image_notation(ChatTemplate(TYPED.replace("IMAGE", repr(notation)))) == notation


@pytest.mark.parametrize(
    "source",
    [
        templates.CHATML,
        "{{ messages[0].content }}",
        "{{ messages[0].content | tojson }}",
        TYPED.replace("IMAGE", "''"),
        TYPED.replace("IMAGE", "'\\n'"),
        TYPED.replace("IMAGE", "raise_exception('no images')"),
        "{{ messages[0].content[0].text }}",
    ],
)
def test_a_template_that_writes_no_images_has_none(source: str) -> None:
    assert find_image_notation(ChatTemplate(source)) == ""
