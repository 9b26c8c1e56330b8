"""Calls that a model wrote in another notation than its dialect's, or in a damaged one: a second reading of the text.

What counts is strict: the name is that of a declared tool, the arguments are whole, they fit the tool's schema. What is quoted,
in a span of code or in a fence that text follows, stays text, and so does everything else.
"""

from dragoman.dialects.recovery.second_reading import SecondReading

__all__ = ["SecondReading"]
