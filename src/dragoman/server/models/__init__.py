"""The models of the server: their names, which of them are in memory, who waits for them, and what they honour of a request."""
