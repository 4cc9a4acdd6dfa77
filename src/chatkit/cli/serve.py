"""``chatkit serve``: a chat over HTTP, by uvicorn."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from chatkit import __version__
from chatkit.cli.options import CommandError
from chatkit.cli.target import Target, load, resolve
from chatkit.errors import MissingExtraError
from chatkit.store import SQLiteStore, Store

try:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from chatkit.web import create_app, single_user
except ImportError as error:  # pragma: no cover - needs an environment without the extra
    raise MissingExtraError("Serving needs more packages: pip install 'chatkit-server[serve]'") from error

__all__ = ["ServeSettings", "application", "serve"]

GUIDE: Final = "chatkit.demo:GuideServer"
_PATH: Final = "/chatkit"
_HANDED_DOWN: Final = "CHATKIT_SERVE_SETTINGS"
_GRACE: Final = 3
"""Seconds for open streams to end when the process is asked to."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What to serve and how.

    Attributes:
        target: ``module:attribute``; None serves the built-in guide.
        db: Path of the SQLite database, for servers that are constructed here.
        host: Address to listen on.
        port: TCP port, 0 for a free one.
        cors: Origins whose pages may use the chat.
        context: ``module:function`` that makes the context of a request; None is single-user mode.
        workers: Number of processes.
        log_level: Name of uvicorn's level.
    """

    target: str | None = None
    db: str = "chatkit.db"
    host: str = "127.0.0.1"
    port: int = 8000
    cors: tuple[str, ...] = ()
    context: str | None = None
    workers: int = 1
    log_level: str = "warning"


def serve(settings: ServeSettings) -> int:
    """Serves until the process is asked to end, and returns the exit code.

    Raises:
        CommandError: The target or the address cannot be used.
        ConfigurationError: More workers than the server's stream log can serve.
    """
    target = _target(settings)
    if target.server is not None:
        target.server.check_workers(settings.workers)
        if isinstance(target.server.store, SQLiteStore):
            asyncio.run(_open(target.server.store))
    listener = _listen(settings.host, settings.port)
    with listener:
        announcement = _announcement(settings, target, listener)
        if settings.workers > 1:
            print(announcement, flush=True)
            os.environ[_HANDED_DOWN] = json.dumps(asdict(settings))
            config = _config("chatkit.cli.serve:application", settings, factory=True)
            Multiprocess(config, [listener]).run()
            return 0
        server = _Server(_config(_application(settings, target), settings), announcement)
        try:
            server.run([listener])
        except KeyboardInterrupt:
            return 0
        except SystemExit:
            # uvicorn has logged why the application did not start.
            return 1
        return 0


class _Server(uvicorn.Server):
    """A uvicorn server that says when it is ready."""

    def __init__(self, config: uvicorn.Config, announcement: str) -> None:
        super().__init__(config)
        self._announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._announcement, flush=True)


async def _open(store: SQLiteStore[Any]) -> None:
    """Creates or migrates the database now, so that one that cannot be used is a plain message."""
    try:
        await store.database.migrate()
    finally:
        await store.close()


def application() -> Any:
    """Returns the ASGI application of a worker process, by the settings that the first process handed down."""
    settings = TypeAdapter(ServeSettings).validate_json(os.environ[_HANDED_DOWN])
    return _application(settings, _target(settings))


def _target(settings: ServeSettings) -> Target:
    def make_store() -> Store[Any]:
        return SQLiteStore(settings.db)

    name = settings.target or GUIDE
    return resolve(load(name, "TARGET"), name, make_store)


def _application(settings: ServeSettings, target: Target) -> Any:
    if target.server is None:
        return target.application
    context: Any = single_user() if settings.context is None else load(settings.context, "--context")
    if not callable(context):
        raise CommandError(
            f"{settings.context} is not a function that takes a request and returns its context."
        )
    return create_app(
        target.server, context=context, path=_PATH, cors_origins=settings.cors, workers=settings.workers
    )


def _config(application: Any, settings: ServeSettings, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        factory=factory,
        workers=settings.workers,
        log_level=settings.log_level,
        timeout_graceful_shutdown=_GRACE,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((address[0], address[1]), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} of {host} is in use; stop what uses it, or choose another with --port"
        elif error.errno == errno.EACCES:
            reason = f"port {port} is reserved for the system; choose one above 1023 with --port"
        elif isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            reason = f"{host!r} is no address of this machine; choose another with --host"
        else:
            reason = f"cannot listen on port {port} of {host}: {error.strerror or error}"
        raise CommandError(reason) from error


def _announcement(settings: ServeSettings, target: Target, listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    what = "the built-in guide, which has no model" if settings.target is None else settings.target
    store = getattr(target.server, "store", None)
    lines = [f"chatkit {__version__} serves {what}."]
    if isinstance(store, SQLiteStore) and settings.target is None:
        lines.append(f"Threads are kept in {Path(settings.db).resolve()}.")
    if target.server is not None and settings.context is None:
        lines.append("Single-user mode: no sign-in, everybody who reaches this port is the same user.")
        if not _is_loopback(address):
            lines.append(
                f"WARNING: {settings.host} can be reached from other machines. Everybody there can read and write "
                "all threads. Use --host 127.0.0.1, or --context for users of their own."
            )
    path = _PATH if target.server is not None else ""
    lines.append(f"Listening on http://{shown}:{port}{path} (Ctrl-C stops)")
    return "\n".join(lines)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
