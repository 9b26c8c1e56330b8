"""An engine that writes the last line of its prompt back. Its tokens are the bytes of UTF-8."""

from collections.abc import AsyncGenerator

from dragoman import Capabilities, Engine, EngineOptions, EngineRequest, Finish, FinishReason, OutputChunk


class EchoEngine(Engine):
    """Answers with the last line that the user wrote. `window` is in bytes."""

    def __init__(self, window: int = 100_000) -> None:
        self._window = window

    async def start(self) -> Capabilities:
        return Capabilities(model="echo", window=self._window, slots=8)

    @property
    def vocabulary(self) -> int:
        return 256

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        return list(text.encode())

    async def generate(self, job: EngineRequest) -> AsyncGenerator[OutputChunk, None]:
        prompt = bytes(job.tokens).decode(errors="replace")
        user = prompt.rpartition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]
        line = user.strip().rpartition("\n")[2]
        for number, character in enumerate(line):
            if number == job.limit:
                yield OutputChunk(finish=Finish(FinishReason.LENGTH))
                return
            yield OutputChunk(character, output=1)
        yield OutputChunk(finish=Finish(FinishReason.STOP))

    async def close(self) -> None:
        pass


def build(options: EngineOptions) -> Engine:
    """The engine for `dragoman serve --engine echo`."""
    return EchoEngine(options.context_length or 100_000)
