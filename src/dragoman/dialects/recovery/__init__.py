"""Recovery of calls that a model wrote in another notation than its dialect's, or in a damaged one, by a second reading.

The conditions are strict: the name is that of a declared tool, and the arguments are complete and fit the tool's schema. Calls
that are quoted, in a code span or in a fence with text after it, stay text, and so does everything else.
"""

from dragoman.dialects.recovery.second_reading import SecondReading

__all__ = ["SecondReading"]
