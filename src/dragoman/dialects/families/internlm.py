"""InternLM2, and Intern-S1, which reasons: a call to a plugin, as a JSON object.

The models write:

    <|action_start|><|plugin|>
    {"name": "add", "parameters": {"a": 1}}
    <|action_end|>
"""

from dataclasses import replace

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, JsonArguments, Reasoning, StopStrings

INTERNLM2 = Dialect(
    name="internlm2",
    hints=("<|action_start|>", "<|plugin|>"),
    calls=Calls(
        ("<|action_start|><|plugin|>", "<|action_start|> <|plugin|>", "<|action_start|>\n<|plugin|>"),
        ("<|action_end|>",),
        codec=JsonArguments(("parameters", "arguments")),
    ),
    stop_strings=StopStrings(("<|im_end|>",)),
)

INTERNS1 = replace(INTERNLM2, name="interns1", reasoning=Reasoning())
