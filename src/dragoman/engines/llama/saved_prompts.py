"""The prompts whose KV cache is saved on disk: which one helps a request, and which ones a new one replaces. Sans-IO.

How much a saved prompt helps depends on the model and on llama.cpp's version. With most models a request can continue from any
token. A recurrent state is that of one position, and a sliding window has the last tokens only: a request can continue from the
end, and from checkpoints, which newer versions save with the rest. So we record what a restored prompt was good for: if nothing
came of one, a request must begin with a larger share of the next.
"""

from array import array
from collections.abc import Iterable

from msgspec import Struct

from dragoman.prefix import common_prefix_length

REPLACED = 0.95
"""The share of a saved prompt that a longer one must begin with to replace it: a conversation grows from turn to turn."""
LEAST_SHARE = 0.25
"""The least share of a saved prompt that a request must begin with: reading a file for less of it costs more than it saves."""
_LEAST_USED = 0.5
"""The share of what matches that a request must find cached, or else restoring was of no use."""
MOST_PROMPTS = 64
"""For each model and its settings: they are compared with every request."""


class SavedPrompt(Struct, frozen=True, eq=False):
    """A prompt, with the answer to it, whose KV cache is in the file `name`. Images have the numbers that stand for them."""

    name: str
    tokens: "array[int]"


class Match(Struct, frozen=True):
    """A saved prompt, and with how many of its tokens a request begins, without the request's last one: that is always read."""

    prompt: SavedPrompt
    length: int

    @property
    def share(self) -> float:
        """The share of the saved prompt that the request begins with."""
        return self.length / len(self.prompt.tokens)


class SavedPrompts:
    """The saved prompts of one model with its settings; the one that was used last comes last."""

    def __init__(self, prompts: Iterable[SavedPrompt] = ()) -> None:
        self._prompts = {prompt.name: prompt for prompt in prompts}
        self._least_share = LEAST_SHARE

    def __len__(self) -> int:
        return len(self._prompts)

    def match(self, tokens: "array[int]") -> Match | None:
        """The saved prompt that has most of a request's tokens in common with it, None if no file is worth reading."""
        most = max(len(tokens) - 1, 0)
        common = ((prompt, common_prefix_length(prompt.tokens, tokens)) for prompt in self._prompts.values())
        matches = [Match(prompt, min(length, most)) for prompt, length in common if prompt.tokens]
        useful = [match for match in matches if match.share > self._least_share]
        return max(useful, key=lambda match: match.length, default=None)

    def record_use(self, match: Match, cached: int) -> None:
        """Record how many tokens of a restored prompt a request found cached."""
        if cached < _LEAST_USED * match.length:
            self._least_share = max(self._least_share, (match.share + 1) / 2)

    @property
    def useless(self) -> bool:
        """Whether not even a request that goes on from the end of a saved prompt found it of use: no other will."""
        return self._least_share >= 1

    def add(self, added: SavedPrompt) -> list[SavedPrompt]:
        """Add a prompt. Returns those that are no longer needed, which it replaces or which are too many."""
        replaced = [
            prompt
            for prompt in self._prompts.values()
            if common_prefix_length(prompt.tokens, added.tokens) >= REPLACED * len(prompt.tokens)
        ]
        for prompt in replaced:
            del self._prompts[prompt.name]
        self._prompts[added.name] = added
        oldest = list(self._prompts.values())[: max(0, len(self._prompts) - MOST_PROMPTS)]
        for prompt in oldest:
            del self._prompts[prompt.name]
        return replaced + oldest

    def use(self, prompt: SavedPrompt) -> None:
        """Record that a prompt was used."""
        if self._prompts.pop(prompt.name, None):
            self._prompts[prompt.name] = prompt

    def discard(self, prompt: SavedPrompt) -> None:
        """Forget a prompt."""
        self._prompts.pop(prompt.name, None)

    def keep_only(self, names: Iterable[str]) -> None:
        """Forget the prompts that have other names: their files were removed, perhaps by another process."""
        kept = set(names)
        self._prompts = {name: prompt for name, prompt in self._prompts.items() if name in kept}
