"""`dragoman launch`: finding or starting a server, what each program needs, and warnings about the user's own settings."""
