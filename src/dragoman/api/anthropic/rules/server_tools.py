"""Rules for the tools that the server runs: whether it runs them, and their options (TOOL-15)."""

from collections.abc import Collection
from typing import Final, assert_never

from dragoman.api.anthropic.tools import McpToolset, ServerTool, ToolSearchTool, WebFetchTool, WebSearchTool
from dragoman.conversation.server_tools import is_domain
from dragoman.errors import InvalidRequest

_HOW: Final = {"web_search": "--web-search PROVIDER", "web_fetch": "--web-fetch"}
"""The option of `dragoman serve` that switches a tool on; tools that are not here are always on."""


def check_server_tool(tool: ServerTool, path: str, runs: Collection[str]) -> None:
    """Check a declaration at `path`. `runs` are the names of the tools that the operator has switched on."""
    if tool.name in _HOW and tool.name not in runs:
        raise InvalidRequest.at(
            f"{path}.type",
            f"{tool.type} is a tool that the server runs, and this server does not: start it with `{_HOW[tool.name]}`, "
            "leave the tool out, or declare a tool of your own",
        )
    match tool:
        case WebSearchTool() | WebFetchTool():
            _check_domains(tool.allowed_domains, tool.blocked_domains, path)
        case ToolSearchTool():
            _check_search(tool, path)
        case McpToolset():
            pass
        case _:
            assert_never(tool)


def _check_search(tool: ToolSearchTool, path: str) -> None:
    """Check that the search is named after its type, and is not deferred itself (TOOL-12)."""
    if not tool.type.startswith(tool.name):
        raise InvalidRequest.at(f"{path}.name", f"Input should be '{tool.type.removesuffix('_20251119')}'")
    if tool.defer_loading:
        raise InvalidRequest.at("tools", "At least one tool must have defer_loading=false. All tools cannot be deferred.")


def _check_domains(allowed: list[str] | None, blocked: list[str] | None, path: str) -> None:
    """Check that only one of the lists is given, and that its entries are domains, each with an optional path."""
    if allowed and blocked:
        raise InvalidRequest.at(path, "`allowed_domains` and `blocked_domains` cannot both be set")
    for name, domains in (("allowed_domains", allowed), ("blocked_domains", blocked)):
        for index, domain in enumerate(domains or ()):
            if not is_domain(domain):
                reason = "must be a domain without a scheme, such as example.com or example.com/blog"
                raise InvalidRequest.at(f"{path}.{name}.{index}", reason)
