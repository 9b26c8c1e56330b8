"""The API formats that the doctor can check: where their requests go, and which headers their clients send."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MESSAGES = "/v1/messages"


@dataclass(frozen=True, slots=True, eq=False)
class Api:
    """One API format. `path` is that of its main endpoint; its clients send `headers`, and the key as `key_name` says."""

    name: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    key_name: str = "authorization"
    key_prefix: str = "Bearer "

    def key_header(self, key: str) -> Mapping[str, str]:
        """The header with the key."""
        return {self.key_name: f"{self.key_prefix}{key}"}


MESSAGES_API = Api("messages", MESSAGES, {"anthropic-version": "2023-06-01"}, "x-api-key", "")
CHAT_API = Api("chat", "/v1/chat/completions")
RESPONSES_API = Api("responses", "/v1/responses")
