"""The tools that the server runs, from the options of `dragoman serve`."""

import re
from typing import Final

from dragoman.cli.options import Options
from dragoman.cli.usage_error import UsageError
from dragoman.media import web_page
from dragoman.server_tools import SearchSettings, ServerToolSettings, UnusableProvider, mcp

_HOST: Final = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]+)?")


def server_tool_settings(options: Options) -> ServerToolSettings:
    """The settings that the options describe. Raises `UsageError`."""
    if options.web_fetch and not web_page.is_installed():
        raise UsageError("--web-fetch needs a package that is not installed: pip install 'dragoman[web-fetch]'")
    if options.mcp_hosts and not mcp.is_installed():
        raise UsageError("--mcp-host needs a package that is not installed: pip install 'dragoman[mcp]'")
    return ServerToolSettings(
        search=_search(options.web_search, options.web_search_key or ""),
        fetch=options.web_fetch,
        mcp_hosts=frozenset(map(_host, options.mcp_hosts)),
    )


def _host(given: str) -> str:
    if not _HOST.fullmatch(given):
        raise UsageError(f"--mcp-host: {given!r} is not a host, such as mcp.example.com or localhost:8080")
    return given.lower().strip("[]") if given.endswith("]") else given.lower()


def _search(given: str | None, key: str) -> SearchSettings | None:
    if not given:
        return None
    try:
        return SearchSettings.of(given, key)
    except UnusableProvider as error:
        key_option = " (--web-search-key KEY)" if "key" in str(error) else ""
        raise UsageError(f"--web-search: {error}{key_option}") from error
