"""llama.cpp: its server, embedded in a supervised child process or at an address."""
