"""LMDeploy: the engine at an address."""
