"""Constraints as grammars, compiled by llguidance, and as structural tags."""
