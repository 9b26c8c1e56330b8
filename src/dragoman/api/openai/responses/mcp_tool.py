"""The declaration of an MCP server, whose tools this server calls."""

import re
from collections.abc import Collection
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from dragoman.api.base import WireModel
from dragoman.api.mcp_urls import AllowsUrl, check_mcp_url
from dragoman.conversation.server_tools import McpToolset
from dragoman.errors import InvalidRequest

MCP: Final = "mcp"
"""The type of the declaration, and of a tool choice."""
SECRETS: Final = {"authorization", "headers"}
"""Fields that no response repeats."""
_OWN_HEADERS: Final = re.compile(
    r"accept.*|connection|content-.*|host|mcp-.*|transfer-encoding|upgrade|user-agent", re.IGNORECASE
)
"""Headers that belong to the connection."""
_Token = Annotated[str, Field(pattern=r"^[\x21-\x7e]+$")]
_HeaderName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
_HeaderValue = Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")]


class McpToolFilter(WireModel):
    """Some of the tools of a server."""

    tool_names: list[str] | None = None
    read_only: bool | None = None


class McpTool(WireModel):
    """The tools of an MCP server."""

    type: Literal["mcp"]
    server_label: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,100}$")]
    server_url: str | None = None
    authorization: _Token | None = None
    headers: dict[_HeaderName, _HeaderValue] | None = None
    allowed_tools: list[str] | McpToolFilter | None = None
    # Must be honoured or refused: `check` refuses them.
    require_approval: Any = None
    connector_id: Any = None
    tunnel_id: Any = None
    # May be ignored: the tools are listed at once, and the model calls them itself.
    server_description: Any = None
    defer_loading: Any = None
    allowed_callers: Any = None

    @property
    def allowed(self) -> Collection[str] | None:
        """The names of the tools that are used; None for all."""
        return self.allowed_tools.tool_names if isinstance(self.allowed_tools, McpToolFilter) else self.allowed_tools

    def check(self, path: str, allows: AllowsUrl) -> None:
        """Raise `InvalidRequest` for what this server does not do."""
        for name in ("connector_id", "tunnel_id"):
            if getattr(self, name) is not None:
                raise InvalidRequest.at(f"{path}.{name}", "not supported by this server: give a server_url")
        if self.server_url is None:
            raise InvalidRequest.at(f"{path}.server_url", "Field required")
        check_mcp_url(self.server_url, f"{path}.server_url", allows)
        for name in self.headers or ():
            if _OWN_HEADERS.fullmatch(name):
                raise InvalidRequest.at(f"{path}.headers.{name}", "this header belongs to the connection")
            if self.authorization is not None and name.lower() == "authorization":
                raise InvalidRequest.at(f"{path}.headers.{name}", "cannot be combined with `authorization`")
        if self.require_approval != "never":
            reason = "this server cannot wait for an approval of each call: it must be 'never'"
            raise InvalidRequest.at(f"{path}.require_approval", reason)
        if isinstance(self.allowed_tools, McpToolFilter) and self.allowed_tools.read_only is not None:
            raise InvalidRequest.at(f"{path}.allowed_tools.read_only", "not supported by this server: name the tools")

    def declared(self, path: str, chosen: Collection[str | None] = (None,)) -> McpToolset:
        """The tools in neutral form: those that are allowed and among the `chosen` names, where None stands for all."""
        names = self.allowed
        if None not in chosen:
            names = [name for name in chosen if name and (names is None or name in names)]
        return McpToolset(
            self.server_label,
            self.server_url or "",
            f"{path}.server_url",
            self.authorization,
            dict.fromkeys(names or (), True),
            names is None,
            headers=self.headers or {},
        )
