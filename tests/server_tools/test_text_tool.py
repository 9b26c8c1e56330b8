"""The length of the text that a server tool takes."""

import jsonschema_rs
import pytest

from dragoman.server_tools.tool_search import BM25, ToolSearchTool


@pytest.mark.parametrize(("length", "fits"), [(0, False), (1, True), (200, True), (201, False)])
def test_a_constrained_call_has_a_length_that_another_call_need_not_have(length: int, fits: bool) -> None:
    tool = ToolSearchTool(BM25, ())
    call = {"query": "x" * length}
    assert jsonschema_rs.is_valid(dict(tool.schema), call) == fits
    assert tool.accepts(call)
