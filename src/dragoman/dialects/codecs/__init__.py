"""The codecs: each is one file, or one folder, with its value, its reader, its writer and its constraint."""

from dragoman.dialects.codecs.codec import ArgumentReader, CallTags, Codec
from dragoman.dialects.codecs.element_arguments import ElementArguments
from dragoman.dialects.codecs.json_arguments import JsonArguments
from dragoman.dialects.codecs.keyword_arguments import KeywordArguments
from dragoman.dialects.codecs.literal_arguments import LiteralArguments
from dragoman.dialects.codecs.rules import Rules
from dragoman.dialects.codecs.tagged import TaggedArguments

__all__ = [
    "ArgumentReader",
    "CallTags",
    "Codec",
    "ElementArguments",
    "JsonArguments",
    "KeywordArguments",
    "LiteralArguments",
    "Rules",
    "TaggedArguments",
]
