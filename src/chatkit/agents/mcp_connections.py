"""Connects the MCP servers of an agent that are not connected yet, and closes them with the chat server."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from agents import Agent

if TYPE_CHECKING:
    from agents.mcp import MCPServer, MCPServerManager

__all__ = ["McpConnections"]

logger = logging.getLogger("chatkit.agents")

_RETRY_SECONDS: Final = 30.0
"""How long a server that could not be connected is left alone: each attempt holds up an answer."""


class McpConnections:
    """Connects MCP servers once each; what the application has connected is left to it."""

    def __init__(self) -> None:
        self._managers: dict[MCPServer, MCPServerManager] = {}
        self._tried: dict[MCPServerManager, float] = {}
        self._connecting = asyncio.Lock()

    async def connected(self, agent: Agent[Any]) -> Agent[Any]:
        """Returns the agent with its MCP servers connected, without those that cannot be."""
        if not agent.mcp_servers:
            return agent
        # Only here: it loads a client of MCP.
        from agents.mcp import MCPServerManager

        async with self._connecting:
            for server in agent.mcp_servers:
                if server not in self._managers and getattr(server, "session", None) is None:
                    self._managers[server] = MCPServerManager([server], connect_in_parallel=True)
            managers = [self._managers[server] for server in agent.mcp_servers if server in self._managers]
            now = time.monotonic()
            waiting = [
                manager
                for manager in managers
                if not _is_connected(manager) and now - self._tried.get(manager, -math.inf) >= _RETRY_SECONDS
            ]
            if waiting:
                self._tried.update(dict.fromkeys(waiting, now))
                # They outlive the turn, so they do not get what belongs to it.
                work = asyncio.get_running_loop().create_task(_connect(waiting), context=Context())
                await asyncio.shield(work)
        active = [server for manager in managers for server in manager.active_servers]
        usable = [server for server in agent.mcp_servers if server not in self._managers or server in active]
        return agent if len(usable) == len(agent.mcp_servers) else agent.clone(mcp_servers=usable)

    async def close(self) -> None:
        """Ends the connections; the next answer makes new ones."""
        managers, self._managers = self._managers, {}
        self._tried.clear()
        for manager in managers.values():
            await manager.cleanup_all()


def _is_connected(manager: MCPServerManager) -> bool:
    return all(getattr(server, "session", None) is not None for server in manager.all_servers)


async def _connect(managers: list[MCPServerManager]) -> None:
    await asyncio.gather(*(manager.connect_all() for manager in managers))
    for manager in managers:
        for server, error in manager.errors.items():
            logger.warning("The MCP server %r cannot be used: %s", server.name, error)
