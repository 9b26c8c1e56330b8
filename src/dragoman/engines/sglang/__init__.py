"""SGLang: a server at an address."""
