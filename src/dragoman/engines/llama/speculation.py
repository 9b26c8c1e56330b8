"""Speculative decoding: several next tokens are drafted, and the model checks all of them in one step.

The output stays as it would be: a drafted token is accepted only if the model chooses the same one, by the request's sampling
and constraint. Each refused one costs a part of a step, without a GPU about half of it. There are two ways to draft:

- n-grams (llama.cpp's `ngram-simple`): if the last 12 tokens occur earlier in the conversation, the tokens that follow them
  there are drafted. `ngram-map-k` would learn which places are of no use, but in the llama.cpp of the wheel it drafts nothing
  any more once a slot gets another conversation; and `ngram-mod` shares what it has seen between conversations.
- A draft model (`draft-simple`): a small model with the same vocabulary.

llama.cpp has no switch for one request, so a way is chosen at the start.
"""

from enum import StrEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

KEY: Final = 12
"""Tokens that must occur again. With 8, more drafts are refused in lists and tables."""
LONGEST_DRAFT: Final = 16
"""Tokens, without a GPU. With 48, a file is rewritten as fast, and a refused draft costs three times as much."""
LONGEST_DRAFT_ON_GPU: Final = 48
"""llama.cpp's own number, for devices on which a step with many tokens takes about as long as one with a single token."""
NGRAM_TYPE: Final = "ngram-simple"
DRAFT_TYPE: Final = "draft-simple"
NOT_ON_GPUS: Final = "not measured on GPUs"
OTHER_KIND: Final = "not measured with this kind of model"


class Way(StrEnum):
    """How tokens are drafted; `AUTO` is n-grams where that was measured to lose nothing, else not at all."""

    AUTO = "auto"
    OFF = "off"
    NGRAM = "ngram"
    MODEL = "model"


class Speculation(Struct, frozen=True):
    """How tokens are drafted. `draft` is the file of the draft model; `why` is the reason if `AUTO` became `OFF`."""

    way: Way = Way.AUTO
    draft: str | None = None
    why: str = ""

    def chosen(self, *, on_gpu: bool) -> "Speculation":
        """The same without `AUTO`."""
        if self.way is Way.AUTO and not on_gpu:
            return Speculation(Way.NGRAM)
        return self.off(NOT_ON_GPUS)

    def off(self, why: str) -> "Speculation":
        """`OFF` for this reason in place of `AUTO`; what the operator asked for stays."""
        return Speculation(Way.OFF, why=why) if self.way is Way.AUTO else self

    def shown(self, *, on_gpu: bool) -> str:
        """What drafts, for people."""
        if self.way is Way.NGRAM:
            return f"n-grams of the conversation, up to {longest_draft(on_gpu=on_gpu)} tokens"
        if self.way is Way.MODEL and self.draft is not None:
            return f"the draft model {Path(self.draft).stem}"
        return f"nothing ({self.why}; --speculate ngram switches it on)" if self.why else "nothing"


AUTO: Final = Speculation()
OFF: Final = Speculation(Way.OFF)
NGRAM: Final = Speculation(Way.NGRAM)


def longest_draft(*, on_gpu: bool) -> int:
    """The most tokens that are drafted at once from n-grams."""
    return LONGEST_DRAFT_ON_GPU if on_gpu else LONGEST_DRAFT


def arguments(speculation: Speculation, *, on_gpu: bool) -> list[str]:
    """The arguments of a llama-server."""
    if speculation.way is Way.NGRAM:
        sizes = ["--spec-ngram-simple-size-n", str(KEY), "--spec-ngram-simple-size-m", str(longest_draft(on_gpu=on_gpu))]
        return ["--spec-type", NGRAM_TYPE, *sizes]
    if speculation.way is Way.MODEL and speculation.draft is not None:
        return ["--spec-type", DRAFT_TYPE, "--spec-draft-model", speculation.draft]
    return []
