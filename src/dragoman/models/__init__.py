"""Model files: how they are named and found, the Hub, headers of GGUF files, tokenizer folders."""
