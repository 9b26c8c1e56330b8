"""An MCP server over standard input and output with two tools."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("notes", log_level="CRITICAL")


@server.tool()
def first() -> str:
    """Opens the notes."""
    return "The notes are open."


@server.tool()
def second() -> str:
    """Reads the newest note."""
    return "Buy oats."


if __name__ == "__main__":
    server.run()
