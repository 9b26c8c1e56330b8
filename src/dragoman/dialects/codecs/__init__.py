"""One reader for each way of writing calls. Which one reads follows from blocks D, E and F of the dialect alone."""

from collections.abc import Sequence
from functools import partial

from dragoman.dialects.codecs.base import CallReader, Context
from dragoman.dialects.codecs.choice import Choice
from dragoman.dialects.codecs.json_block import JsonBlock
from dragoman.dialects.codecs.named_block import Message, NamedBlock
from dragoman.dialects.codecs.section import Section
from dragoman.dialects.codecs.tag_block import TagBlock
from dragoman.dialects.codecs.tentative_call import TentativeCall
from dragoman.dialects.markers import Markers
from dragoman.dialects.spec import Affixes, Calls, JsonArguments, JsonKey, KeyIsName, NameTag, Recipient


def open_block(opener: str, ways: Sequence[Calls], context: Context) -> CallReader:
    """The reader of the block, or of the section of blocks, that `opener` has just opened; bare blocks have none, "".

    `ways` are all the ways of writing that begin with it: one, or two of which one is JSON.
    """
    if len(ways) > 1:
        in_json, otherwise = sorted(ways, key=lambda calls: not isinstance(calls.carrier, JsonKey | KeyIsName))
        return Choice(*(partial(_open_block, opener, calls, context) for calls in (in_json, otherwise)))
    [calls] = ways
    if opener in calls.section_opens:
        return Section(opener, calls, context, partial(_open_block, calls=calls, context=context))
    return _open_block(opener, calls, context)


def open_message(name: str, calls: Calls, context: Context, stops: Markers) -> CallReader:
    """The reader of a message to the declared tool `name`, whose header has just ended. `stops` can end any message."""
    if isinstance(calls.carrier, NameTag):
        return TagBlock("", calls, calls.carrier, context)
    return NamedBlock("", calls, context, Message(name, stops))


def _open_block(opener: str, calls: Calls, context: Context) -> CallReader:
    match calls.carrier:
        case JsonKey() | KeyIsName() as carrier:
            assert isinstance(calls.codec, JsonArguments)
            return JsonBlock(opener, calls, carrier, calls.codec, context)
        case Affixes() | Recipient():
            return NamedBlock(opener, calls, context)
        case NameTag() as carrier:
            return TagBlock(opener, calls, carrier, context)


__all__ = ["CallReader", "Context", "TentativeCall", "open_block", "open_message"]
