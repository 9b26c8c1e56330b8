"""Finds and reads model files: model names, the Hub, headers of GGUF files, tokenizer folders."""
