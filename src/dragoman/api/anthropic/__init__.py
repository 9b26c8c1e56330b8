"""What travels: requests in, messages and events out. Nothing here knows of models or engines."""
