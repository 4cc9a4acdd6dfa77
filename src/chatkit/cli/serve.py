"""``chatkit serve``: a chat over HTTP, by uvicorn."""

from __future__ import annotations

import asyncio
import copy
import errno
import json
import logging
import math
import os
import socket
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from pydantic import TypeAdapter

from chatkit import __version__
from chatkit.cli.bucket import as_bucket, check_bucket, origin_of
from chatkit.cli.database import describe, open_store, prepare
from chatkit.cli.files import describe_files, open_files
from chatkit.cli.hosts import LocalHosts, is_loopback
from chatkit.cli.model import ModelSettings, assistant
from chatkit.cli.options import DEFAULT_DB, CommandError
from chatkit.cli.streams import describe_log, open_log, prepare_log
from chatkit.cli.target import Target, load, resolve
from chatkit.errors import MissingExtraError
from chatkit.server import ChatKitServer
from chatkit.store import SQLiteStore, Store
from chatkit.streams.shared import SharedStreamLog

try:
    import uvicorn
    from uvicorn.config import LOGGING_CONFIG
    from uvicorn.supervisors import Multiprocess

    from chatkit.web import Page, Prompt, create_app, single_user, ui_is_built
except ImportError as error:  # pragma: no cover - needs an environment without the extra
    raise MissingExtraError("Serving needs more packages: pip install 'chatkit-server[serve]'") from error

__all__ = ["ServeSettings", "application", "serve"]

GUIDE: Final = "chatkit.demo:GuideServer"
_PATH: Final = "/chatkit"
_HANDED_DOWN: Final = "CHATKIT_SERVE_SETTINGS"
_GUIDE_PROMPTS: Final = (
    Prompt("What can this chat do?", "help", "sparkle-double"),
    Prompt("Show me some markdown", "markdown", "square-text"),
    Prompt("Work through a few steps", "workflow", "bolt"),
    Prompt("Show me a widget", "widget", "cube"),
)
_GRACE: Final = 2
"""Seconds for open streams to end when the process is asked to, after those that running turns have."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What to serve and how.

    Attributes:
        target: ``module:attribute``; None serves the built-in assistant.
        model: What the built-in assistant answers with; None makes it the guide.
        db: Path of the SQLite file, or connection string of PostgreSQL, for servers that are constructed here.
        db_is_asked_for: Whether the database was given with the command, so that not to use it would be a mistake.
        files: Folder or bucket for the files that users attach, ``"off"`` for none; None is a folder beside the
            database. For the same servers, where they have no file store of their own.
        files_are_asked_for: As for the database.
        stream_log: URL of the log that workers share; None is that of the database. For the same servers, where they
            have no log of their own.
        stream_log_is_asked_for: As for the database.
        lease: Seconds for which turns are a worker's without renewal; None for the usual ones.
        drain_seconds: How long running turns may go on when the process is asked to end.
        host: Address to listen on.
        port: TCP port, 0 for a free one.
        cors: Origins whose pages may use the chat.
        context: ``module:function`` that makes the context of a request; None is single-user mode.
        workers: Number of processes.
        log_level: Name of uvicorn's level.
        own_machine_only: Whether requests have to name this machine; found when the address is known.
    """

    target: str | None = None
    model: ModelSettings | None = None
    db: str = DEFAULT_DB
    db_is_asked_for: bool = False
    files: str | None = None
    files_are_asked_for: bool = False
    stream_log: str | None = None
    stream_log_is_asked_for: bool = False
    lease: float | None = None
    drain_seconds: float = 0.0
    host: str = "127.0.0.1"
    port: int = 8000
    cors: tuple[str, ...] = ()
    context: str | None = None
    workers: int = 1
    log_level: str = "warning"
    own_machine_only: bool = False


def serve(settings: ServeSettings) -> int:
    """Serves until the process is asked to end, and returns the exit code.

    Raises:
        CommandError: The target or the address cannot be used.
        ConfigurationError: More workers than the server's stream log can serve, or the model is not to be found.
    """
    if settings.model is not None:
        settings = replace(settings, model=settings.model.named())
    target = _target(settings)
    if target.server is not None:
        # Here too: of several processes each would fail on its own, and be started again for ever.
        _context(settings)
        _check_workers(settings, target.server)
        asyncio.run(_prepare(target.server))
        bucket = as_bucket(target.server.attachment_store)
        if bucket is not None and target.got_store:
            check_bucket(bucket)
    listener = _listen(settings.host, settings.port)
    with listener:
        local = settings.context is None and is_loopback(listener.getsockname()[0])
        settings = replace(settings, own_machine_only=local)
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


def application() -> Any:
    """Returns the ASGI application of a worker process, by the settings that the first process handed down."""
    settings = TypeAdapter(ServeSettings).validate_json(os.environ[_HANDED_DOWN])
    return _application(settings, _target(settings))


def _target(settings: ServeSettings) -> Target:
    def make_store() -> Store[Any]:
        return open_store(settings.db)

    if settings.model is not None:
        return _equipped(settings, Target(server=assistant(settings.model, make_store()), got_store=True))
    name = settings.target or GUIDE
    target = resolve(load(name, "TARGET"), name, make_store)
    if settings.db_is_asked_for and not target.got_store:
        raise CommandError(
            f"--db has no effect on {name}, which has a store of its own. Leave --db out, or name a subclass of "
            "ChatKitServer, or a function that takes a store."
        )
    return _equipped(settings, target)


def _equipped(settings: ServeSettings, target: Target) -> Target:
    return _with_log(settings, _with_files(settings, target))


def _with_log(settings: ServeSettings, target: Target) -> Target:
    server = target.server
    if server is None or not target.got_store or server.stream_log is not None:
        if settings.stream_log_is_asked_for:
            raise CommandError(
                f"--stream-log has no effect on {settings.target}, which has a stream log of its own choice. Leave it "
                "out, or name a subclass of ChatKitServer, or a function that takes a store, without a stream log."
            )
        return target
    server.stream_log = open_log(settings.stream_log, server.store, settings.lease)
    return target


def _check_workers(settings: ServeSettings, server: ChatKitServer[Any]) -> None:
    store: Any = server.store
    if settings.workers > 1 and server.stream_log is None and isinstance(store, SQLiteStore):
        raise CommandError(
            f"{settings.workers} workers cannot share the stream log of an SQLite file: a turn could not be resumed or "
            "stopped from another worker. Give --stream-log redis://..., or --db postgresql://..., or run one worker."
        )
    server.check_workers(settings.workers)


async def _prepare(server: ChatKitServer[Any]) -> None:
    await prepare(server.store)
    if isinstance(server.stream_log, SharedStreamLog):
        await prepare_log(server.stream_log)


def _with_files(settings: ServeSettings, target: Target) -> Target:
    server = target.server
    if server is None or not target.got_store or server.attachment_store is not None:
        if settings.files_are_asked_for:
            raise CommandError(
                f"--files has no effect on {settings.target}, which looks after files itself. Leave --files out, or "
                "name a subclass of ChatKitServer, or a function that takes a store, without a file store."
            )
        return target
    files: Any = open_files(settings.files, settings.db)
    server.attachment_store = files
    return target


def _application(settings: ServeSettings, target: Target) -> Any:
    if target.server is None:
        return target.application
    application = create_app(
        target.server,
        context=_context(settings),
        path=_PATH,
        cors_origins=settings.cors,
        workers=settings.workers,
        drain_seconds=settings.drain_seconds,
        ui=_page(settings, target.server) if ui_is_built() else False,
    )
    if not settings.own_machine_only:
        return application
    return LocalHosts(application, settings.host, settings.cors)


def _context(settings: ServeSettings) -> Any:
    context: Any = single_user() if settings.context is None else load(settings.context, "--context")
    if not callable(context):
        raise CommandError(
            f"{settings.context} is not a function that takes a request and returns its context."
        )
    return context


def _page(settings: ServeSettings, server: ChatKitServer[Any]) -> Page:
    prompts = _GUIDE_PROMPTS if settings.target is None and settings.model is None else ()
    bucket = as_bucket(server.attachment_store)
    # Files go there, and their pictures come from there, past this server.
    origins = () if bucket is None else (origin_of(bucket),)
    return Page(
        prompts=prompts,
        attachments=server.attachment_store is not None,
        connect=origins,
        images=("https:", *origins),
    )


def _config(application: Any, settings: ServeSettings, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        factory=factory,
        workers=settings.workers,
        log_config=_logging(settings.log_level),
        log_level=settings.log_level,
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds) + _GRACE,
    )


def _logging(level: str) -> dict[str, Any]:
    """Returns uvicorn's configuration with our own messages in it, unless the target looks after them."""
    config = copy.deepcopy(LOGGING_CONFIG)
    if not logging.getLogger("chatkit").hasHandlers():
        # "trace" is a level of uvicorn's own.
        level = "DEBUG" if level == "trace" else level.upper()
        config["loggers"]["chatkit"] = {"handlers": ["default"], "level": level, "propagate": False}
    return config


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
    if settings.model is not None:
        what = f"the built-in assistant with the model {settings.model}"
    else:
        what = settings.target or "the built-in guide, which has no model"
    lines = [f"chatkit {__version__} serves {what}."]
    if target.got_store:
        lines.append(f"Threads are kept in {describe(settings.db)}.")
        files = None if target.server is None else describe_files(target.server.attachment_store)
        if files is not None:
            lines.append(f"Attached files are kept in {files}.")
        if settings.stream_log is not None:
            lines.append(f"Running turns are shared through {describe_log(settings.stream_log)}.")
    if target.server is not None and settings.context is None:
        lines.append("Single-user mode: no sign-in, everybody who reaches this port is the same user.")
        if not is_loopback(address):
            lines.append(
                f"WARNING: {settings.host} can be reached from other machines. Everybody there can read and write "
                "all threads. Use --host 127.0.0.1, or --context for users of their own."
            )
    if target.server is not None:
        if ui_is_built():
            lines.append(f"Open http://{shown}:{port}/ in a browser to chat.")
        else:
            lines.append(
                "There is no page: this installation was made without it. Install a wheel, or run scripts/ui."
            )
    path = _PATH if target.server is not None else ""
    lines.append(f"Listening on http://{shown}:{port}{path} (Ctrl-C stops)")
    return "\n".join(lines)
