"""Messages by the official SDK, which checks every answer against its types."""

from typing import Any

import anthropic


def answered(url: str, *, stream: bool, beta: bool = False, **request: Any) -> Any:
    """The answer to a request, whole or accumulated from its stream, by the types of the API or of its betas."""
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0, _strict_response_validation=True) as client:
        messages: Any = client.beta.messages if beta else client.messages
        if not stream:
            return messages.create(**request)
        with messages.stream(**request) as events:
            return events.get_final_message()
