"""``chatkit serve``: a chat over HTTP, by uvicorn."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final, cast

from pydantic import TypeAdapter

from chatkit import __version__
from chatkit.cli.database import describe, open_store, prepare
from chatkit.cli.files import (
    SIGNS_ALONE,
    as_bucket,
    check_bucket,
    describe_files,
    open_files,
    origin_of,
    signs_alone,
)
from chatkit.cli.hosted import describe_hosted, hosted_target, read_keys
from chatkit.cli.hosts import LocalHosts, is_loopback
from chatkit.cli.model import ModelSettings, assistant
from chatkit.cli.options import DEFAULT_DB, DEFAULT_LIMIT_CONCURRENCY, CommandError
from chatkit.cli.serve_limits import bound
from chatkit.cli.sign_in import served_context
from chatkit.cli.sockets import listen
from chatkit.cli.streams import describe_log, open_log, prepare_log
from chatkit.cli.target import Target, load, missing_keys, resolve
from chatkit.cli.telemetry import begin_in_worker, describe_telemetry, serving_metrics
from chatkit.errors import ChatKitError, MissingExtraError
from chatkit.server import ChatKitServer
from chatkit.store import SQLiteStore, Store
from chatkit.streams.worker import is_on_network

try:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from chatkit.cli.dev import RELOADED, check_dev, run_reloading, tell_more
    from chatkit.cli.logging_config import logging_config
    from chatkit.hosted import create_hosted_app
    from chatkit.web import ChatPage, Prompt, create_app, ui_is_built
    from chatkit.web.auth import is_single_user
    from chatkit.web.connections import DEFAULT_REQUEST_TIMEOUT, BoundedProtocol
    from chatkit.web.origins import check_origins
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
_GRACE_SECONDS: Final = 2
"""Seconds for open streams to end when the process is asked to, after those that running turns have."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """The options of ``chatkit serve``.

    Attributes:
        target: ``module:attribute``; None serves the built-in assistant.
        model: What the built-in assistant answers with; None makes it the guide.
        asked_for: Names of options that came with the command, so that not to follow them would be a mistake.
        db: For servers that are constructed here.
        files: For the same servers, where they have no file store; None is a folder beside the database.
        stream_log: For the same servers, where they have no stream log; None is that of the database.
        lease: Seconds; None is the usual number.
        context: ``module:function``; None is single-user mode.
        log_level: Name of uvicorn's level.
        log_format: How a record is written: ``text`` or ``json``.
        max_body_bytes: Bytes of a request's body; None is what the server has, and so for the next two.
        running_turns: Turns of one user that run at once.
        kept_bytes: Bytes of one user's turns that are kept for readers.
        quotas: What a user may ask for, such as ``messages=20/minute``.
        prices: The file with what tokens cost.
        retention: How long threads are kept, such as ``365d``.
        unbounded_calls: Whether models may be called although what they use at most cannot be reserved.
        audit: Whether to keep an audit log.
        audit_db: Where; None is the database of the store.
        audit_head: The file in which its head is published.
        hosted: Whether to serve hosted ChatKit.
        workflows: Of hosted ChatKit: the id of each, and ``module:attribute``.
        api_keys: Of hosted ChatKit: the file with the hashes of keys.
        own_machine_only: Whether other machines cannot reach the server; found when the address is known.
        auth: The kind of sign-in that the command brings; None is none of them.
        oidc_issuer: Who signs users in, for ``auth="oidc"``.
        oidc_audience: For whom their tokens are.
        sign_in_url: Where the page leads users who are not signed in.
        title: Of the page; None is its own.
        dev: Whether to start again on changes, and to show exceptions in the chat.
        metrics: Where Prometheus finds metrics, as ``host:port``; None is nowhere.
        traces: What is traced: ``on``, and ``storage`` or ``content`` besides; nothing if empty.
    """

    target: str | None = None
    model: ModelSettings | None = None
    asked_for: tuple[str, ...] = ()
    db: str = DEFAULT_DB
    files: str | None = None
    stream_log: str | None = None
    lease: float | None = None
    drain_seconds: float = 0.0
    host: str = "127.0.0.1"
    port: int = 8000
    cors: tuple[str, ...] = ()
    context: str | None = None
    workers: int = 1
    log_level: str = "warning"
    log_format: str = "text"
    limit_concurrency: int = DEFAULT_LIMIT_CONCURRENCY
    request_timeout: float = DEFAULT_REQUEST_TIMEOUT
    max_body_bytes: int | None = None
    running_turns: int | None = None
    kept_bytes: int | None = None
    quotas: tuple[str, ...] = ()
    prices: str | None = None
    retention: tuple[str, ...] = ()
    unbounded_calls: bool = False
    audit: bool = False
    audit_db: str | None = None
    audit_head: str | None = None
    allow_host: tuple[str, ...] = ()
    root_path: str = ""
    create: bool = False
    hosted: bool = False
    workflows: tuple[tuple[str, str], ...] = ()
    api_keys: str | None = None
    own_machine_only: bool = False
    auth: str | None = None
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    sign_in_url: str | None = None
    title: str | None = None
    dev: bool = False
    metrics: str | None = None
    traces: tuple[str, ...] = ()


def serve(settings: ServeSettings) -> int:
    """Serves until the process is asked to end, and returns the exit code."""
    with serving_metrics(settings) as found:
        return _serve(found)


def _serve(settings: ServeSettings) -> int:
    if settings.model is not None:
        settings = replace(settings, model=settings.model.named())
    # A whole application asks there whether its stream log has to be shared.
    os.environ["WEB_CONCURRENCY"] = str(settings.workers)
    target = _target(settings)
    # Here too: of several processes each would fail on its own, and be started again for ever.
    if target.hosted is not None:
        _hosted_application(settings, target.hosted)
    elif target.server is not None:
        served_context(settings)
    else:
        _check_application(settings)
    for server in target.servers:
        _check_workers(settings, server)
        asyncio.run(_prepare(server))
        bucket = as_bucket(server.attachment_store)
        if bucket is not None and target.got_store:
            check_bucket(bucket)
    listener = listen(settings.host, settings.port)
    with listener:
        settings = replace(settings, own_machine_only=is_loopback(listener.getsockname()[0]))
        if settings.dev:
            check_dev(
                settings, target, single=target.server is None or is_single_user(served_context(settings))
            )
        announcement = _announcement(settings, target, listener)
        if settings.workers > 1:
            print(announcement, flush=True)
            os.environ[_HANDED_DOWN] = json.dumps(asdict(settings))
            config = _config("chatkit.cli.serve:application", settings, factory=True)
            return _run_workers(config, listener)
        if settings.dev:
            print(announcement, flush=True)
            os.environ[_HANDED_DOWN] = json.dumps(asdict(settings))
            config = _config("chatkit.cli.serve:application", settings, factory=True)
            return run_reloading(config, listener)
        server = _Server(_config(_application(settings, target), settings), announcement)
        try:
            server.run([listener])
        except KeyboardInterrupt:
            return 0
        except SystemExit:
            # uvicorn has logged why the application did not start.
            return 1
        return 0


_STARTUP_FAILURE: Final = 3
"""The exit code of a process of uvicorn's whose application did not start."""


def _run_workers(config: uvicorn.Config, listener: socket.socket) -> int:
    """Runs worker processes until they are asked to end; returns 1 if one could not start."""
    multiprocess: Any = Multiprocess
    if "target" in inspect.signature(multiprocess).parameters:
        # uvicorn before 0.52.
        multiprocess = partial(multiprocess, target=uvicorn.Server(config).run)
    supervisor = multiprocess(config, sockets=[listener])
    supervisor.run()
    failed = any(worker.process.exitcode == _STARTUP_FAILURE for worker in supervisor.processes)
    return 1 if failed else 0


class _Server(uvicorn.Server):
    """A uvicorn server that says when it is ready."""

    def __init__(self, config: uvicorn.Config, announcement: str) -> None:
        super().__init__(config)
        self._announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            _forget_for_collector()
            print(self._announcement, flush=True)


def application() -> Any:
    """Returns the ASGI application of a worker process, by the settings that the first process handed down."""
    settings = TypeAdapter(ServeSettings).validate_json(os.environ[_HANDED_DOWN])
    begin_in_worker(settings)
    try:
        made = _application(settings, _target(settings))
    except ChatKitError as error:
        if settings.dev:
            # The next change may mend it.
            raise SystemExit(f"chatkit serve: {error}") from None
        raise
    _forget_for_collector()
    return made


def _forget_for_collector() -> None:
    """Leaves what is loaded by now out of garbage collections, which hold the loop for as long as they look at it."""
    gc.collect()
    gc.freeze()


def _target(settings: ServeSettings) -> Target:
    if settings.hosted:
        return hosted_target(settings)

    def make_store() -> Store[Any]:
        return open_store(settings.db, create=settings.create)

    if settings.model is not None:
        target = Target(server=assistant(settings.model, make_store()), got_store=True)
    else:
        name = settings.target or GUIDE
        target = resolve(load(name, "TARGET"), name, make_store)
        if "db" in settings.asked_for and not target.got_store:
            raise CommandError(
                f"--db has no effect on {name}, which has a store of its own. Leave --db out, or name a subclass of "
                "ChatKitServer, or a function that takes a store."
            )
    server = target.server if target.got_store else None
    if server is not None and server.attachment_store is None:
        files: Any = open_files(settings.files, settings.db, create=settings.create)
        server.attachment_store = files
    elif "files" in settings.asked_for:
        raise CommandError(
            f"--files has no effect on {settings.target}, which looks after files itself. Leave --files out, or "
            "name a subclass of ChatKitServer, or a function that takes a store, without a file store."
        )
    if server is not None and server.stream_log is None:
        server.stream_log = open_log(settings.stream_log, server.store, settings.lease)
    elif "stream_log" in settings.asked_for:
        raise CommandError(
            f"--stream-log has no effect on {settings.target}, which has a stream log of its own choice. Leave it "
            "out, or name a subclass of ChatKitServer, or a function that takes a store, without a stream log."
        )
    return target


def _check_workers(settings: ServeSettings, server: ChatKitServer[Any]) -> None:
    store: Any = server.store
    if settings.workers > 1 and isinstance(store, SQLiteStore) and is_on_network(store.database.path):
        raise CommandError(
            f"{store.database.path} is on a network file system, where {settings.workers} workers would damage it. "
            "Move it to a local disk, give --db postgresql://..., or run one worker."
        )
    server.check_workers(settings.workers)


async def _prepare(server: ChatKitServer[Any]) -> None:
    await prepare(server.store)
    if server.stream_log is not None:
        await prepare_log(server.stream_log)


def _hosted_application(settings: ServeSettings, workflows: Mapping[str, ChatKitServer[Any]]) -> Any:
    for server in workflows.values():
        bound(settings, server)
    return create_hosted_app(
        workflows,
        read_keys(settings.api_keys),
        path=_PATH,
        cors_origins=settings.cors,
        workers=settings.workers,
        drain_seconds=settings.drain_seconds,
    )


def _application(settings: ServeSettings, target: Target) -> Any:
    if target.hosted is not None:
        return _hosted_application(settings, target.hosted)
    if target.server is None:
        return target.application
    context = served_context(settings)
    bound(settings, target.server)
    if settings.dev:
        tell_more(target.server)
    application = create_app(
        target.server,
        context=context,
        path=_PATH,
        cors_origins=settings.cors,
        workers=settings.workers,
        drain_seconds=settings.drain_seconds,
        ui=_page(settings, target.server) if ui_is_built() else False,
    )
    if not is_single_user(context):
        return application
    return LocalHosts(
        application,
        (settings.host, *settings.allow_host),
        check_origins("--cors", settings.cors),
        by_address=not settings.own_machine_only,
    )


def _check_application(settings: ServeSettings) -> None:
    """Raises CommandError for options that a whole application would not heed, one of which may be its sign-in."""
    for option, value in (
        ("--context", settings.context),
        ("--auth", settings.auth),
        ("--sign-in-url", settings.sign_in_url),
        ("--cors", settings.cors),
        ("--allow-host", settings.allow_host),
        ("--title", settings.title),
    ):
        if value:
            raise CommandError(
                f"{option} has no effect on {settings.target}, which is a whole application. Leave it out, or name a "
                "ChatKitServer."
            )


def _page(settings: ServeSettings, server: ChatKitServer[Any]) -> ChatPage:
    prompts = _GUIDE_PROMPTS if settings.target is None and settings.model is None else ()
    bucket = as_bucket(server.attachment_store)
    # Files go there, and their pictures come from there, past this server.
    origins = () if bucket is None else (origin_of(bucket),)
    return ChatPage(
        title=settings.title or ChatPage().title,
        prompts=prompts,
        attachments=server.attachment_store is not None,
        connect=origins,
        images=("https:", *origins),
        sign_in_url=settings.sign_in_url,
    )


def _config(application: Any, settings: ServeSettings, *, factory: bool = False) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        factory=factory,
        workers=settings.workers,
        reload=settings.dev,
        reload_includes=RELOADED if settings.dev else None,
        log_config=logging_config(settings.log_level, settings.log_format, audit=settings.audit),
        log_level=settings.log_level,
        # Not a closure: it has to reach other processes.
        http=cast("Any", partial(BoundedProtocol, request_timeout=settings.request_timeout)),
        limit_concurrency=settings.limit_concurrency,
        root_path=settings.root_path,
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds) + _GRACE_SECONDS,
    )


def _announcement(settings: ServeSettings, target: Target, listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    if settings.hosted:
        what = "hosted ChatKit"
    elif settings.model is not None:
        what = f"the built-in assistant with the model {settings.model}"
    else:
        what = settings.target or "the built-in guide, which has no model"
    lines = [f"chatkit {__version__} serves {what}."]
    if target.got_store:
        lines.append(f"Threads are kept in {describe(settings.db)}.")
        files = describe_files(target.servers[0].attachment_store)
        if files is not None:
            lines.append(f"Attached files are kept in {files}.")
        if settings.stream_log is not None:
            lines.append(f"Running turns are shared through {describe_log(settings.stream_log)}.")
    if target.server is not None and is_single_user(served_context(settings)):
        lines.append("Single-user mode: no sign-in, everybody who reaches this port is the same user.")
        if not is_loopback(address):
            lines.append(
                f"WARNING: {settings.host} can be reached from other machines. Everybody there can read and write "
                "all threads. Use --host 127.0.0.1, or --context for users of their own."
            )
    if settings.auth == "oidc":
        lines.append(
            f"Users have a token of {settings.oidc_issuer} for {settings.oidc_audience}. Requests of the page get it "
            "from a proxy in front that signs users in; a page of yours gives it to the element."
        )
    if any(signs_alone(server.attachment_store) for server in target.servers):
        lines.append(f"WARNING: {SIGNS_ALONE}")
    lines += [f"WARNING: {line}" for line in missing_keys(target)] + describe_telemetry(settings)
    if settings.dev:
        lines.append("Development: it starts again when a file changes, and shows exceptions in the chat.")
    if target.server is not None:
        if ui_is_built():
            lines.append(f"Open http://{shown}:{port}/ in a browser to chat.")
        else:
            lines.append(
                "There is no page: this installation was made without it. Install a wheel, or run scripts/ui."
            )
    if target.hosted is not None:
        lines += describe_hosted(target.hosted, f"http://{shown}:{port}")
    path = _PATH if target.servers else ""
    lines.append(f"Listening on http://{shown}:{port}{path} (Ctrl-C stops)")
    return "\n".join(lines)
