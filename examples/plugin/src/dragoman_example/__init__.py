"""An engine, a codec and dialects for Dragoman, as an example."""
