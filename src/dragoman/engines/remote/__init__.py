"""Engines that are reached by their token doors: vLLM, SGLang, LMDeploy."""
