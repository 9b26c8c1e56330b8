"""Times as the API writes them."""

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """The time so many seconds after the epoch, such as `2026-01-31T12:00:00.000000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
