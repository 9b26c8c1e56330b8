"""Batches in both APIs: taken in, worked off in the gaps between interactive requests, and their results."""
