"""SGLang: the engine at an address."""
