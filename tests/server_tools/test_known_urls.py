"""A URL may be fetched if it stands in the conversation, whole, and if the rules for domains permit it."""

import time

import pytest
from yarl import URL

from dragoman.server_tools.domains import DomainRules
from dragoman.server_tools.known_urls import is_known

TEXT = (
    "See https://Example.org/a/b?x=1, and (http://two.test/) or [this](https://three.test/p_(q)).\n"
    "www.four.test/z. https://five.test/secret/path, https://six.test/#part"
)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a/b?x=1",
        "http://EXAMPLE.org/a/b?x=1#part",
        "https://two.test",
        "https://three.test/p_(q)",
        "https://www.four.test/z",
        "https://six.test",
    ],
)
def test_a_url_of_the_conversation_is_known(url: str) -> None:
    assert is_known(url, ["", TEXT])


@pytest.mark.parametrize(
    "url",
    [
        *("https://example.org/A/b?x=1", "https://example.org/a/b", "https://example.org/a/b?x=1&y=2", "https://xample.org/a/b?x=1"),
        *("https://two.test/other", "https://four.test/z", "https://five.test/", "https://five.test/secret"),
        *("https://user@six.test/", "https://evil.test/?https://six.test/", "", "https://", "https://\ud800.test/"),
    ],
)  # fmt: skip
def test_a_url_that_was_made_up_is_not(url: str) -> None:
    assert not is_known(url, [TEXT])


def test_no_text_takes_long() -> None:
    started = time.monotonic()
    assert not is_known("https://" + "a" * 100, ["a" * 2_000_000, "a.a" * 500_000])
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("rule", "url", "covered"),
    [
        ("example.com", "https://example.com/x", True),
        ("Example.com", "https://docs.example.com/", True),
        ("example.com", "https://notexample.com/", False),
        ("example.com", "https://example.com.evil.test/", False),
        ("docs.example.com", "https://example.com/", False),
        ("example.com/blog", "https://example.com/blog/2026", True),
        ("example.com/blog/*", "https://example.com/blog/2026", True),
        ("example.com/blog", "https://example.com/blogs", False),
        ("example.com", "https://example.com./", True),
    ],
)
def test_a_domain_covers_its_subdomains_and_a_path_what_is_below_it(rule: str, url: str, covered: bool) -> None:
    assert DomainRules(allowed=(rule,)).permit(URL(url)) is covered
    assert DomainRules(blocked=(rule,)).permit(URL(url)) is not covered
    assert DomainRules().permit(URL(url))
