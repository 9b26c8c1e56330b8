"""The second door: OpenAI's chat completions and completions, as they travel."""
