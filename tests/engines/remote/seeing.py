"""Fake engines whose models see: each image has nine tokens, in the place of its notation."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Tokenizer

from engines.folders import CONFIG, TEMPLATE, model_folder
from engines.remote.fake_engine import ReceivedRequest, Upstream
from engines.remote.fake_engines import (
    LMDeployParsingUpstream,
    LMDeployUpstream,
    SGLangUpstream,
    VllmGuidanceUpstream,
    VllmUpstream,
)

NOTATION = "<|im_start|>image<|im_end|>"
LENGTH = 9
SEEING_TEMPLATE = TEMPLATE.replace(
    "{{ message.content }}",
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}" + NOTATION + "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}",
)


def seeing_folder(path: Path) -> Path:
    """Write the folder of a model that sees."""
    model_folder(path, chat_template=SEEING_TEMPLATE)
    (path / "config.json").write_text(json.dumps({**CONFIG, "vision_config": {}}), encoding="utf-8")
    return path


def images_in(body: dict[str, Any]) -> list[str]:
    """The images in the body of a request to an engine."""
    return body.get("image_data") or [part["url"] for part in body.get("content_parts", ())]


class SeeingUpstream(Upstream):
    """An engine that counts nine tokens for each image, and `surplus` more for a prompt with images."""

    surplus: ClassVar[int] = 0

    def read(self, body: dict[str, Any]) -> ReceivedRequest:
        received, images = super().read(body), images_in(body)  # type: ignore[safe-super]
        if not images:
            return received
        notation = Tokenizer.from_file(str(self.folder / "tokenizer.json")).encode(NOTATION, add_special_tokens=False).ids
        assert "".join(map(chr, received.prompt)).count("".join(map(chr, notation))) == len(images)
        added = (LENGTH - len(notation)) * len(images) + self.surplus
        return replace(received, prompt=[*received.prompt, *[7] * added])


class SeeingVllm(SeeingUpstream, VllmUpstream):
    """vLLM with `--enable-scale-out`."""


class SeeingVllmGuidance(SeeingUpstream, VllmGuidanceUpstream):
    """The same with llguidance."""


class SeeingSGLang(SeeingUpstream, SGLangUpstream):
    """SGLang, which says that its model sees."""

    async def other(self, path: str, body: dict[str, Any]) -> Any:
        found = await super().other(path, body)
        return {**found, "has_image_understanding": True} if path == self.info else found


class SeeingLMDeploy(SeeingUpstream, LMDeployUpstream):
    """LMDeploy's chat endpoint."""


class SeeingLMDeployParsing(SeeingUpstream, LMDeployParsingUpstream):
    """LMDeploy's other endpoint."""
