"""Thinking budgets below the API's least, 1,024 tokens, for which a small model takes a minute."""

from dataclasses import replace

import pytest

from dragoman.api.anthropic.lowering import lower
from dragoman.api.anthropic.request import PromptRequest
from dragoman.conversation import Conversation, Sampling
from dragoman.server.endpoints import messages

INTERLEAVED = {"anthropic-beta": "interleaved-thinking-2025-05-14"}
"""With this header, `max_tokens` may be smaller than the thinking budget."""


def set_budget(monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    """Let every request have this budget, and the likeliest tokens, which the API does not allow beside thinking."""

    def lowered(request: PromptRequest, betas: frozenset[str]) -> Conversation:
        conversation = lower(request, betas)
        policy = conversation.policy
        thinking, greedy = replace(policy.thinking, budget=budget), Sampling(temperature=0)
        return replace(conversation, policy=replace(policy, thinking=thinking, sampling=greedy))

    monkeypatch.setattr(messages, "lower", lowered)
