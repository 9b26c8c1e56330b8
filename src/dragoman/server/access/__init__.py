"""Who may use the server: API keys with their limits, and the web pages and host names that are allowed."""
