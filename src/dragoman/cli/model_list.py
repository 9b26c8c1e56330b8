"""The models of a server, which are read again from their file (`--models FILE`) while it runs."""

import asyncio
from collections.abc import Sequence

from dragoman.cli.entries import EntryBuilder
from dragoman.cli.options import Options
from dragoman.cli.served_models import served_models
from dragoman.cli.usage_error import UsageError
from dragoman.media.vision import Vision
from dragoman.server import ModelEntry, ModelRegistry, Settings
from dragoman.server.models.registry import check_entries


class ModelList:
    """The models that the options name; `reserved` bytes of memory are for another model. Raises `UsageError`."""

    def __init__(self, options: Options, reserved: int) -> None:
        self._options = options
        self._builder = EntryBuilder(options.memory, reserved)
        self._entries: Sequence[ModelEntry] = ()
        self._memory: int | None = None
        self.load()

    @property
    def has_file(self) -> bool:
        """Whether they are in a file."""
        return self._options.models is not None

    def load(self) -> None:
        """Read the file, again if it was read before. Raises `UsageError`; then the models before stay."""
        entries, memory = self._builder.build(served_models(self._options))
        try:
            check_entries(entries)
        except ValueError as error:
            raise UsageError(f"{error}: in a file (--models FILE) each model has a name of its own.") from error
        self._entries, self._memory = entries, memory

    def registry(self, settings: Settings, vision: Vision | None) -> ModelRegistry:
        """Return a registry of the models."""
        return ModelRegistry(self._entries, settings, vision, self._memory)

    async def reload(self, registry: ModelRegistry) -> None:
        """Read the file again in a thread, since models may be downloaded, and serve what is in it.

        Raises `UsageError`; then the models before stay.
        """
        await asyncio.to_thread(self.load)
        registry.replace(self._entries, self._memory)
