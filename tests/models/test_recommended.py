"""The table of recommended models."""

import re
from datetime import date

from dragoman.models.recommended import recommendations
from dragoman.models.resolve import HUB_SPEC


def test_the_table_is_dated_and_sorted_and_names_models_as_the_command_line_does() -> None:
    known = recommendations()
    assert date(2026, 11, 1) <= known.date
    assert [model.size for model in known.models] == sorted(model.size for model in known.models)
    for model in known.models:
        match = HUB_SPEC.fullmatch(model.name)
        assert match is not None
        assert match["wanted"] is not None, "the size is that of one quantisation"
        assert re.search(r"-GGUF$", match["repo"])
        assert model.size < model.memory < 2 * model.size + 2


def test_the_largest_model_that_fits_comes_first() -> None:
    models = recommendations().models
    for index, model in enumerate(models):
        exactly = int(model.memory * 1e9)
        assert recommendations().fitting(exactly)[0] == model
        assert recommendations().fitting(exactly - 1) == [*reversed(models[:index])]
