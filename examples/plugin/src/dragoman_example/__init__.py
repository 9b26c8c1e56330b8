"""An engine and a dialect for Dragoman, as an example."""
