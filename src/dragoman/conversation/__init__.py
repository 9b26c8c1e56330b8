"""The neutral form of a request, independent of the API format it came in."""

from dragoman.conversation.types import (
    AnswerPolicy,
    Conversation,
    Dialogue,
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
    "AnswerPolicy",
    "Conversation",
    "Dialogue",
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
