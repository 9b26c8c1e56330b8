# ruff: noqa: RUF001  (the bars are part of the tokens)
"""The prompts by which models that are trained on it write the text between a prefix and a suffix (FIM)."""

from collections.abc import Collection
from typing import Final

from msgspec import Struct


class FillInMiddle(Struct, frozen=True):
    """The special tokens before the prefix, before the suffix, and before what the model writes."""

    prefix: str
    suffix: str
    middle: str

    @property
    def tokens(self) -> tuple[str, str, str]:
        """All three."""
        return self.prefix, self.suffix, self.middle

    def prompt(self, before: str, after: str) -> str:
        """The prompt for the text between `before` and `after`."""
        return f"{self.prefix}{before}{self.suffix}{after}{self.middle}"


FORMS: Final = (
    FillInMiddle("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, CodeGemma
    FillInMiddle("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite
    FillInMiddle("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
    FillInMiddle("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # GLM
)
CANDIDATES: Final = " ".join(token for form in FORMS for token in form.tokens)
"""All of these tokens, as a text."""


def form_of(special_tokens: Collection[str]) -> FillInMiddle | None:
    """The form of a model that has these special tokens; None if it has no fill-in-the-middle."""
    return next((form for form in FORMS if all(token in special_tokens for token in form.tokens)), None)
