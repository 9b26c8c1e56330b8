"""gpt-oss and its harmony format: messages on channels, some of them addressed to tools.

    <|channel|>analysis<|message|>reasoning<|end|><|start|>assistant<|channel|>final<|message|>text
    <|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 1}<|call|>

Models repeat channels, put the recipient before the channel or after it, and omit the content type; the last channel counts.
"""

from dragoman.dialects.dialect import Dialect
from dragoman.dialects.spec import Calls, Frame, JsonArguments, Reasoning, Recipient, Wrapper

GPT_OSS = Dialect(
    name="gpt-oss",
    hints=("<|channel|>", "<|constrain|>"),
    frame=Frame(
        starts=("<|start|>", "<|channel|>"),
        header_end="<|message|>",
        ends=("<|end|>", "<|call|>", "<|return|>"),
        recipient=r"to=\s*(?:functions\.)?([^\s<>|]+)",
        thinking=r"<\|channel\|>\s*analysis(?!.*<\|channel\|>)",
        known=r"<\|(?:start|channel|constrain)\|>|\bto=",
        unended=r"\s*(?:<\|start\|>)?(?:assistant)?\s*(?:to=[^\s<>|{]+\s*)?<\|channel\|>\s*(?:analysis|commentary|final)"
        r"\s*(?:to=[^\s<>|{]+\s*)?(?:<\|constrain\|>\s*\w*\s*)?",
        call="<|channel|>commentary to=functions.{name} <|constrain|>json",
        call_end="<|call|>",
        between="<|start|>assistant",
        text="<|channel|>final",
    ),
    reasoning=Reasoning(
        ("<|channel|>analysis<|message|>",), (), force_close="<|end|><|start|>assistant<|channel|>final<|message|>"
    ),
    wrapper=Wrapper(("<|message|>", "<|constrain|>")),
    calls=Calls((), (), carrier=Recipient(), codec=JsonArguments(raw=True), padding=""),
)
