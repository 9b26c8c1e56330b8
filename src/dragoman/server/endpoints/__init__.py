"""The endpoints that take a prompt, in each API format, and the responses that are kept for later ones."""
