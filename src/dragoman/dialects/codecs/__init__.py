"""One reader for each way of writing calls. Which one reads follows from blocks D, E and F of the dialect alone."""

from functools import partial

from dragoman.dialects.codecs.base import CallReader, Context
from dragoman.dialects.codecs.json_block import JsonBlock
from dragoman.dialects.codecs.named_block import NamedBlock
from dragoman.dialects.codecs.section import Section
from dragoman.dialects.codecs.tag_block import TagBlock
from dragoman.dialects.spec import Affixes, Calls, JsonArguments, JsonKey, KeyIsName, NameTag, Recipient


def open_block(opener: str, calls: Calls, context: Context) -> CallReader:
    """The reader of the block, or of the section of blocks, that `opener` has just opened; bare blocks have none, ""."""
    if opener in calls.section_opens:
        return Section(opener, calls, context, partial(_open_block, calls=calls, context=context))
    return _open_block(opener, calls, context)


def open_message(name: str, calls: Calls, context: Context) -> CallReader:
    """The reader of a message to the declared tool `name`, whose header has just ended."""
    if isinstance(calls.carrier, NameTag):
        return TagBlock("", calls, calls.carrier, context)
    return NamedBlock("", calls, context, name)


def _open_block(opener: str, calls: Calls, context: Context) -> CallReader:
    match calls.carrier:
        case JsonKey() | KeyIsName() as carrier:
            assert isinstance(calls.codec, JsonArguments)
            return JsonBlock(opener, calls, carrier, calls.codec, context)
        case Affixes() | Recipient():
            return NamedBlock(opener, calls, context)
        case NameTag() as carrier:
            return TagBlock(opener, calls, carrier, context)


__all__ = ["CallReader", "Context", "open_block", "open_message"]
