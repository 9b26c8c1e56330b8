"""What the server keeps between requests: responses, in SQLite."""
