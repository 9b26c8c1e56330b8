"""The tokens of a prompt and of an answer, for requests that ask for them: their ids and their log-probabilities."""

from collections.abc import Sequence

from msgspec import Struct


class LikelyToken(Struct, frozen=True):
    """One of the likeliest tokens at a place: its text, which may be part of a character, its bytes, its log-probability."""

    text: str
    data: bytes
    logprob: float


class LogProb(Struct, frozen=True):
    """The log-probability of a token, None where it is not known, and the `top` tokens at its place, the likeliest first.

    `text` is the token's, and `data` its bytes.
    """

    text: str
    data: bytes
    logprob: float | None = None
    top: Sequence[LikelyToken] = ()


class Tokens(Struct, frozen=True):
    """The ids of the tokens from which the next parts were read; `logprobs` has an entry for each, if they are asked for.

    Together, those of an answer are all tokens after the prompt, in the order in which the engine wrote or read them. Those
    that were added to the prompt in place of the model's output have no known log-probabilities.
    """

    ids: Sequence[int]
    logprobs: Sequence[LogProb] = ()


class PromptTokens(Struct, frozen=True):
    """The ids of the prompt; its text and its log-probabilities only if they are asked for."""

    ids: Sequence[int]
    text: str = ""
    logprobs: Sequence[LogProb] = ()
