"""The neutral form of a request: what is asked, without the accent of the door it came through."""

from dragoman.conversation.types import (
    Conversation,
    Role,
    Sampling,
    Text,
    Thinking,
    ThinkingDisplay,
    ThinkingPolicy,
    Tool,
    ToolCall,
    ToolChoice,
    ToolPolicy,
    ToolResult,
    Turn,
)

__all__ = [
    "Conversation",
    "Role",
    "Sampling",
    "Text",
    "Thinking",
    "ThinkingDisplay",
    "ThinkingPolicy",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolPolicy",
    "ToolResult",
    "Turn",
]
