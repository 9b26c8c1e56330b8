"""Finds the token ids that llama-server does not report: of several tokens that make up a character, it reports the last.

The tokenizer gives the others. Its ids must be as many as the model generated, end with the one that is reported, and spell the
text; a model that writes a character in another way than the tokenizer, as random ones do, fails that.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from dragoman.engines.base import OutputChunk
from dragoman.errors import EngineFailed
from dragoman.parts import LogProb


class Tokenizer(Protocol):
    """The tokenizer of an engine, as in `Engine`."""

    async def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """The token ids of a text."""

    async def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids."""


async def with_all_ids(chunk: OutputChunk, tokenizer: Tokenizer) -> OutputChunk:
    """The chunk with an id for each of its tokens; of those that are found here, the log-probability is not known.

    Raises `EngineFailed` where they cannot be found, and what the tokenizer raises.
    """
    missing = chunk.output - len(chunk.ids)
    if missing < 1 or not chunk.text:
        return chunk
    ids = (await tokenizer.tokenize(chunk.text))[-chunk.output :]
    if len(ids) < chunk.output or ids[missing:] != list(chunk.ids) or await tokenizer.detokenize(ids) != chunk.text:
        raise EngineFailed(f"llama-server does not report all token ids of {chunk.text!r}, and they cannot be determined")
    unknown = [LogProb("", b"")] * missing if chunk.logprobs else []
    return replace(chunk, ids=ids, logprobs=[*unknown, *chunk.logprobs])
