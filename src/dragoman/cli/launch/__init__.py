"""Claude Code on a local model, in four steps: a server, a window, an environment, and what might spoil it."""
