"""vLLM: the engine at an address, and one that is started as a child process."""
