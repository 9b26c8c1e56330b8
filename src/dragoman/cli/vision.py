"""Builds the vision model from the options of `dragoman serve`."""

from dragoman.cli.engines import llama_program
from dragoman.cli.options import Options
from dragoman.cli.usage_error import UsageError
from dragoman.media.vision import Vision, VisionServer
from dragoman.models.memory import Footprint
from dragoman.models.resolve import UnusableModel, resolve


def build_vision(options: Options) -> tuple[Vision | None, int]:
    """The vision model, not yet started, and the bytes that it takes here; None without one. Raises `UsageError`."""
    named = options.vision_model
    if not named:
        return None, 0
    if named.startswith(("http://", "https://")):
        return VisionServer(named, options.vision_key), 0
    if options.workers > 1:
        raise UsageError("--workers needs the address of a vision model: give --vision-model URL.")
    from dragoman.engines.llama.embedded import EmbeddedLlama  # noqa: PLC0415
    from dragoman.server.models.vision_model import VisionModel  # noqa: PLC0415

    try:
        model = resolve(named)
    except UnusableModel as error:
        raise UsageError(f"--vision-model: {error}") from error
    if model.projector is None:
        raise UsageError(f"--vision-model: {model.id} sees nothing: there is no image projector (mmproj*.gguf) beside it.")
    engine = EmbeddedLlama(
        model.path, name=model.id, parallel=1, projector=model.projector, program=llama_program(options.llama_server)
    )
    return VisionModel(engine), Footprint.of(model).total(engine.context, 1)
