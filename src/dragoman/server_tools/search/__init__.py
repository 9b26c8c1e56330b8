"""`web_search`: the tool, and the providers that it can ask."""
