"""One reader for each way of writing calls. Which one reads follows from blocks E and F of the dialect alone."""

from dragoman.dialects.codecs.base import CallReader, Context
from dragoman.dialects.codecs.json_block import JsonBlock
from dragoman.dialects.spec import Calls, JsonArguments, JsonKey


def open_block(opener: str, calls: Calls, context: Context) -> CallReader:
    """The reader of the block that `opener` has just opened."""
    match calls.carrier, calls.codec:
        case JsonKey() as carrier, JsonArguments() as codec:
            return JsonBlock(opener, calls, carrier, codec, context)


__all__ = ["CallReader", "Context", "open_block"]
