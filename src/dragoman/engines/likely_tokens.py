"""Log-probabilities as engines report them by token id, with the texts of the tokens by the tokenizer in the model's folder."""

from collections.abc import Callable, Iterable

from dragoman.parts import LikelyToken, LogProb

BytesOf = Callable[[int | str], bytes]
"""The bytes of a token, by its id or its spelling in the vocabulary, as `ModelFolder.token_bytes`."""


def log_prob(
    token: int | str, logprob: float | None, others: Iterable[tuple[int | str, float]], top: int, bytes_of: BytesOf
) -> LogProb:
    """The log-probability of a token, and the `top` likeliest of all tokens at its place.

    `others` are the likely tokens that the engine reports, with their log-probabilities, in any order; this one may be one of
    them.
    """
    known = dict(others) if top else {}
    if top and logprob is not None:
        known[token] = logprob
    likeliest = sorted(known.items(), key=lambda each: -each[1])[:top]
    data = bytes_of(token)
    return LogProb(text_of(data), data, logprob, [_likely(bytes_of(other), found) for other, found in likeliest])


def _likely(data: bytes, logprob: float) -> LikelyToken:
    return LikelyToken(text_of(data), data, logprob)


def text_of(data: bytes) -> str:
    """The text of a token, which may begin or end in the middle of a character."""
    return data.decode(errors="replace")
