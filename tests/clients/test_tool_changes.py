"""Claude Code finds tools of an MCP server by its own search, one after the other, and the prompt only grows."""

import json
import sys
from pathlib import Path

import pytest

from .session import MIN_REUSE, StartSession, call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first run installs the client
SERVER = {"command": sys.executable, "args": [str(Path(__file__).with_name("notes_mcp_server.py"))]}


@pytest.mark.clause("TOOL-12", "IN-14", "CACHE-4")
def test_tools_that_its_search_adds_are_called(start_session: StartSession) -> None:
    session = start_session(
        call(("ToolSearch", {"query": "select:mcp__notes__first"})),
        call(("mcp__notes__first", {})),
        call(("ToolSearch", {"query": "select:mcp__notes__second"})),
        call(("mcp__notes__second", {})),
        "Oats.",
    )
    servers = json.dumps({"mcpServers": {"notes": SERVER}})
    ran = session.claude.run("What is in my notes?", "--mcp-config", servers, "--allowedTools", "mcp__notes")
    assert ran.answer == "Oats."
    assert session.recorder.refused == []
    deferred = [
        [tool["name"] for tool in exchange.body["tools"] if tool.get("defer_loading") and "mcp__" in tool["name"]]
        for exchange in session.recorder.messages
    ]
    one, both = ["mcp__notes__first"], ["mcp__notes__first", "mcp__notes__second"]
    assert deferred == [[], one, one, both, both]
    assert min(session.engine.reused()) > MIN_REUSE
