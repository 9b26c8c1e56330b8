"""The pages of the list of models."""

import pytest

from dragoman.api.anthropic.models import ModelCapabilities, ModelInfo, ModelPage

MODELS = [ModelInfo(name, name.upper(), "1970-01-01T00:00:00Z", 10, 10, ModelCapabilities()) for name in "abcde"]


@pytest.mark.clause("MOD-1", "MOD-2")
@pytest.mark.parametrize(
    ("limit", "after", "before", "names", "more"),
    [
        (20, None, None, "abcde", False),
        (5, None, None, "abcde", False),
        (4, None, None, "abcd", True),
        (2, "b", None, "cd", True),
        (3, "b", None, "cde", False),
        (2, "e", None, "", False),
        (2, None, "d", "bc", True),
        (3, None, "d", "abc", False),
        (2, None, "a", "", False),
        (2, "unknown", None, "", False),
        (2, None, "unknown", "", False),
    ],
)
def test_a_page_has_the_models_next_to_its_cursor(
    limit: int, after: str | None, before: str | None, names: str, more: bool
) -> None:
    page = ModelPage.of(MODELS, limit, after, before)
    assert page == ModelPage(
        [model for model in MODELS if model.id in names],
        has_more=more,
        first_id=names[:1] or None,
        last_id=names[-1:] or None,
    )


@pytest.mark.clause("MOD-1")
def test_an_empty_list_has_no_ids() -> None:
    assert ModelPage.of([], 20, None, None) == ModelPage([], has_more=False, first_id=None, last_id=None)
