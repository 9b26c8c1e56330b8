"""The readers of calls: the blocks D and E of the dialect decide which one reads, the codec reads the arguments."""

from collections.abc import Sequence
from functools import partial

from dragoman.dialects.blocks.base import CallReader, Context
from dragoman.dialects.blocks.either_block import EitherBlock
from dragoman.dialects.blocks.json_block import JsonBlock
from dragoman.dialects.blocks.named_block import NamedBlock, ToolMessage
from dragoman.dialects.blocks.section import Section
from dragoman.dialects.blocks.tag_block import TagBlock
from dragoman.dialects.blocks.tentative_call import TentativeCall
from dragoman.dialects.markers import Markers
from dragoman.dialects.spec import Affixes, Calls, JsonKey, KeyIsName, NameTag, Recipient


def open_block(opener: str, forms: Sequence[Calls], context: Context) -> CallReader:
    """The reader of the block, or of the section of blocks, that `opener` has just opened; "" opens a bare block.

    `forms` are all the forms of calls that begin with it: one, or two of which one is JSON.
    """
    if len(forms) > 1:
        in_json, otherwise = sorted(forms, key=lambda calls: not isinstance(calls.carrier, JsonKey | KeyIsName))
        return EitherBlock(*(partial(_open_block, opener, calls, context) for calls in (in_json, otherwise)))
    [calls] = forms
    if opener in calls.section_opens:
        return Section(opener, calls, context, partial(_open_block, calls=calls, context=context))
    return _open_block(opener, calls, context)


def open_message(name: str, calls: Calls, context: Context, stops: Markers) -> CallReader:
    """The reader of a message to the declared tool `name`, whose header has just ended; `stops` can end any message."""
    if isinstance(calls.carrier, NameTag):
        return TagBlock("", calls, calls.carrier, context)
    return NamedBlock("", calls, context, ToolMessage(name, stops))


def _open_block(opener: str, calls: Calls, context: Context) -> CallReader:
    match calls.carrier:
        case JsonKey() | KeyIsName() as carrier:
            return JsonBlock(opener, calls, carrier, context)
        case Affixes() | Recipient():
            return NamedBlock(opener, calls, context)
        case NameTag() as carrier:
            return TagBlock(opener, calls, carrier, context)


__all__ = ["CallReader", "Context", "TentativeCall", "open_block", "open_message"]
