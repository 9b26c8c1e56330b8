from collections.abc import Iterator

import pytest
from anthropic import Anthropic

from stage import Stage


@pytest.fixture(scope="session")
def connected(theatre: Stage) -> Iterator[Anthropic]:
    with sdk(theatre.url) as client:
        yield client


@pytest.fixture
def client(connected: Anthropic, stage: Stage) -> Anthropic:
    """The SDK, connected to `stage`; it checks every answer against its types."""
    assert str(connected.base_url).rstrip("/") == stage.url
    return connected


def sdk(url: str, **options: object) -> Anthropic:
    """The SDK for a server of the test's own."""
    return Anthropic(**{"base_url": url, "api_key": "none", "max_retries": 0, "_strict_response_validation": True, **options})
