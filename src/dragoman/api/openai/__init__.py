"""The OpenAI-compatible API: chat completions and completions."""
