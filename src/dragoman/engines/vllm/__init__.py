"""vLLM: a server at an address, or one started as a child process."""
