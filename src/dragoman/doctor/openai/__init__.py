"""Checks of servers with the OpenAI API: chat completions with completions, and responses.

What both formats have in common is checked once, with the requests and the answers of either (`form.py`, `chat_form.py`,
`responses_form.py`).
"""

from dragoman.doctor.openai.checks import CHAT_CHECKS, RESPONSES_CHECKS

__all__ = ["CHAT_CHECKS", "RESPONSES_CHECKS"]
