"""LFM2.5: the calls of LFM2; it may reason with thinking switched off, and it writes complete calls in its reasoning."""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.families.lfm2 import LFM_CALLS, LFM_RESULTS
from dragoman.dialects.spec import CallsInside, Reasoning, StopStrings

LFM2_5 = Dialect(
    name="lfm2.5",
    hints=("List of tools: [",),
    reasoning=Reasoning(force_close="</think>", calls_inside=CallsInside.TENTATIVE),
    calls=LFM_CALLS,
    stop_strings=StopStrings(("<|im_end|>",)),
    results=LFM_RESULTS,
)
