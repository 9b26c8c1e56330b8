"""What all requests have of HTTP: connections, bodies, headers, lists by pages, and responses that are not streams."""
