"""F2: each argument in a pair of tags, `<parameter=a>1</parameter>`; the value and its writer, the reader, the constraint."""

from dragoman.dialects.codecs.tagged.arguments import TaggedArguments

__all__ = ["TaggedArguments"]
