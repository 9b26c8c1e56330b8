"""What is kept of requests, by the options of `dragoman serve`."""

import pytest

from dragoman.cli.options import Options
from dragoman.cli.serve import inspect_mode, serve
from dragoman.observability.recent import Inspect


def mode(*arguments: str) -> Inspect:
    return inspect_mode(Options(**serve.make_context("serve", list(arguments)).params))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_content_is_kept_where_only_this_machine_reaches_the_server(host: str) -> None:
    assert mode("--host", host) is Inspect.FULL


def test_other_machines_see_no_content_unless_it_is_switched_on() -> None:
    assert mode("--host", "0.0.0.0") is Inspect.METADATA
    assert mode("--host", "0.0.0.0", "--inspect", "full") is Inspect.FULL


def test_it_can_be_switched_off() -> None:
    assert mode("--inspect", "off") is Inspect.OFF
