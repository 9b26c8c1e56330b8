"""The error message for a model that cannot be used."""

import pytest

from dragoman.models.resolve import UnusableModel, resolve


def refusal(spec: str | None) -> str:
    with pytest.raises(UnusableModel) as refused:
        resolve(spec)
    text = str(refused.value)
    assert len(text.splitlines()) == 1
    return text
