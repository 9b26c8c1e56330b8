"""The parts of `dragoman claude`: finding or starting a server, its context window, the client's environment, overrides."""
