"""The log-probabilities of answers, in the three forms of the OpenAI-compatible API."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from dragoman.parts import LikelyToken, LogProb

_NEVER = -9999.0
"""What the API has for a token that is not among the likeliest: here, for one whose log-probability is not known."""


class TopLogprob(Struct, frozen=True):
    """One of the likeliest tokens at a place. `bytes` are those of the token, whose text may be part of a character."""

    token: str
    logprob: float
    bytes: Sequence[int]


class TokenLogprob(Struct, frozen=True):
    """A token of the answer."""

    token: str
    logprob: float
    bytes: Sequence[int]
    top_logprobs: Sequence[TopLogprob] = ()


class ChatLogprobs(Struct, frozen=True):
    """The tokens of a chat completion, or those that a chunk adds: all that the model wrote, reasoning and calls as well."""

    content: Sequence[TokenLogprob]
    refusal: None = None


class TextLogprobs(Struct, frozen=True):
    """The tokens of a completion, or those that a chunk adds. `text_offset` is where each token begins in the text."""

    text_offset: Sequence[int]
    token_logprobs: Sequence[float | None]
    tokens: Sequence[str]
    top_logprobs: Sequence[Mapping[str, float] | None]


def token_logprobs(found: Sequence[LogProb]) -> Sequence[TokenLogprob]:
    """The entries of tokens."""
    return [
        TokenLogprob(each.text, _NEVER if each.logprob is None else each.logprob, list(each.data), [*map(_top, each.top)])
        for each in found
    ]


def _top(likely: LikelyToken) -> TopLogprob:
    return TopLogprob(likely.text, likely.logprob, list(likely.data))


def text_logprobs(found: Sequence[LogProb], offset: int) -> TextLogprobs:
    """The entries of tokens, of which the first begins at `offset`."""
    offsets = []
    for each in found:
        offsets.append(offset)
        offset += len(each.text)
    tops = [{likely.text: likely.logprob for likely in each.top} if each.top else None for each in found]
    return TextLogprobs(offsets, [each.logprob for each in found], [each.text for each in found], tops)


def joined_chat(found: Sequence[ChatLogprobs]) -> ChatLogprobs | None:
    """The tokens of several chunks; None if they have none."""
    return ChatLogprobs([entry for each in found for entry in each.content]) if found else None


def joined_text(found: Sequence[TextLogprobs]) -> TextLogprobs | None:
    """The tokens of several chunks; None if they have none."""
    if not found:
        return None
    return TextLogprobs(
        [offset for each in found for offset in each.text_offset],
        [logprob for each in found for logprob in each.token_logprobs],
        [token for each in found for token in each.tokens],
        [top for each in found for top in each.top_logprobs],
    )
