"""llama.cpp: its server, embedded and supervised here, or run by somebody else."""
