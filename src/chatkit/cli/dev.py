"""``chatkit serve --dev``: for one user, who is the developer, on one machine."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.supervisors import ChangeReload

from chatkit.cli.options import CommandError
from chatkit.server import ChatKitServer
from chatkit.server.blocking import set_limit

if TYPE_CHECKING:
    from chatkit.cli.serve import ServeSettings
    from chatkit.cli.target import Target

__all__ = ["RELOADED", "check_dev", "run_reloading", "tell_more"]

RELOADED: Final = ["*.py", "*.widget"]
"""Files of the working folder whose changes start the server again."""

_CHANGED: Final = "CHATKIT_SERVE_CHANGED"
"""Set for processes that take the place of another one."""
_LIMIT_SECONDS: Final = 0.5
"""For which a handler may block the event loop before it is named."""


def check_dev(settings: ServeSettings, target: Target, *, single: bool) -> None:
    """Raises CommandError where anybody else could see what is shown.

    Args:
        settings: The options, with the address known.
        target: What is served.
        single: Whether it is for a single user.
    """
    if target.server is None:
        reason = "it is for a ChatKitServer; 'uvicorn --reload' starts a whole application again on changes"
    elif not settings.own_machine_only:
        reason = (
            f"{settings.host} can be reached from others, and exceptions may hold secrets; leave --host out"
        )
    elif settings.allow_host:
        reason = "others may reach it under the names of --allow-host, which has to be left out"
    elif not single:
        option = "--auth" if settings.auth else "--context"
        reason = f"{option} lets several users in, who would see exceptions; leave it or --dev out"
    elif settings.workers > 1:
        reason = "it runs one worker; leave --workers out"
    else:
        return
    raise CommandError(f"--dev is for a single user on this machine: {reason}.")


def run_reloading(config: uvicorn.Config, listener: socket.socket) -> int:
    """Runs a process that serves, and another one in its place whenever a file changes; returns the exit code."""
    _Reload(config, _Server(config).run, [listener]).run()
    return 0


class _Reload(ChangeReload):
    def restart(self) -> None:
        os.environ[_CHANGED] = "1"
        super().restart()


class _Server(uvicorn.Server):
    """A uvicorn server that says when it serves again."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and _CHANGED in os.environ:
            print("It serves again, with what was changed.", flush=True)


def tell_more(server: ChatKitServer[Any]) -> None:
    """Lets a server show exceptions in the chat, and name handlers that block the event loop, sooner than usual."""
    server.shows_exceptions = True
    set_limit(_LIMIT_SECONDS)
