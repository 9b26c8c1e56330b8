"""Describes images for a model that does not see, by a second model that does."""

import base64
from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from dragoman.conversation import Image

INSTRUCTION: Final = (
    "Describe this image for a reader who cannot see it. Quote all text in it exactly. Then say what it shows: things, people, "
    "colors, layout, numbers in charts and tables. Write the description only."
)
MOST_TOKENS: Final = 1024
"""Tokens of a description."""
_SECONDS: Final = 120.0
_VERSION: Final = "2023-06-01"


class Undescribed(Exception):
    """The vision model gave no description; the message says why, for the log."""


class Vision(ABC):
    """A vision model."""

    @abstractmethod
    async def start(self) -> None:
        """Make it ready; several models may each ask for that. Raises `EngineFailed`, `EngineUnavailable`."""

    @abstractmethod
    async def describe(self, image: Image) -> str:
        """Return a description of an image. Raises `Undescribed`."""

    @abstractmethod
    async def close(self) -> None:
        """Release all resources."""


class VisionServer(Vision):
    """A vision model of a server with the Messages API: the first in its list of models that sees."""

    def __init__(self, url: str, key: str | None = None, seconds: float = _SECONDS) -> None:
        self._url = url.rstrip("/")
        self._headers = {"anthropic-version": _VERSION} | ({"x-api-key": key} if key else {})
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._model: str | None = None

    async def start(self) -> None:
        """Do nothing: the server may start later than this one."""

    async def describe(self, image: Image) -> str:
        """Return a description of an image. Raises `Undescribed`."""
        try:
            async with aiohttp.ClientSession(headers=self._headers, timeout=self._timeout) as session:
                self._model = self._model or await self._seeing(session)
                message = await self._json(session.post(f"{self._url}/v1/messages", json=_request(self._model, image)))
            text = "".join(block["text"] for block in message["content"] if block["type"] == "text").strip()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Undescribed(f"{self._url} cannot be reached: {error or type(error).__name__}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Undescribed(f"{self._url} does not answer as a Messages API") from None
        if not text:
            raise Undescribed(f"{self._url} gave an empty answer")
        return text

    async def close(self) -> None:
        """Nothing is open."""

    async def _seeing(self, session: aiohttp.ClientSession) -> str:
        models = (await self._json(session.get(f"{self._url}/v1/models")))["data"]
        if not models:
            raise Undescribed(f"{self._url} lists no model")
        seeing = (model for model in models if ((model.get("capabilities") or {}).get("image_input") or {}).get("supported"))
        return str(next(seeing, models[0])["id"])

    async def _json(self, call: Any) -> Any:
        async with call as response:
            if response.status != HTTPStatus.OK:
                raise Undescribed(f"{self._url} answers with status {response.status}")
            return await response.json(content_type=None)


def _request(model: str, image: Image) -> dict[str, Any]:
    source = {"type": "base64", "media_type": image.media_type, "data": base64.b64encode(image.data).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": INSTRUCTION}]
    return {"model": model, "max_tokens": MOST_TOKENS, "messages": [{"role": "user", "content": content}]}
