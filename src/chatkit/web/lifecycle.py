"""The start and the end of a server in an ASGI application."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, cast

from starlette.background import BackgroundTask

from chatkit._observers import observers
from chatkit._outages import SELF_EXPLANATORY, Outage, log_failure
from chatkit._tasks import end_tasks
from chatkit.errors import ConfigurationError, StoreUnavailableError
from chatkit.server import ChatKitServer
from chatkit.server.auditing import auditing_of, begin_auditing, is_audited
from chatkit.store import Store
from chatkit.web.response import EventStreamResponse
from chatkit.web.shutdown import ShutdownHook

__all__ = ["Lifecycle", "usual_workers"]

logger = logging.getLogger("chatkit.web")

_CHECK_SECONDS: Final = 5.0
_CHECK_HOLDS_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 3600.0
_AUDIT_SECONDS: Final = 2.0
_SWEEP_IN_PASSING_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 2.0
_LAST_EVENTS_SECONDS: Final = 0.5


class Lifecycle:
    """Starts a server with its application, and ends its turns when the process is asked to end.

    Applications that are mounted below another one are not told of start and end; then the first request
    starts the server, and orphaned files are swept after the answers to requests.

    Running turns get ``drain_seconds``; a second signal ends them at once. For the options see ``create_app``.
    """

    def __init__(
        self, server: ChatKitServer[Any], *, workers: int | None = None, drain_seconds: float = 0.0
    ) -> None:
        if drain_seconds < 0:
            raise ConfigurationError("drain_seconds must be 0 or more.")
        self._server = server
        self._workers = workers
        self._drain_seconds = drain_seconds
        self._hook = self._new_hook()
        self._started = False
        self._users = 0
        self._sweeper: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._auditor: asyncio.Task[None] | None = None
        self._passing: asyncio.Task[None] | None = None
        self._check: asyncio.Task[None] | None = None
        self._checked_at = 0.0
        self._swept_at: float | None = None
        self._streams: weakref.WeakSet[EventStreamResponse] = weakref.WeakSet()
        self._search = Outage(
            "Turns of workers that died cannot be looked for",
            "Turns of workers that died can be looked for again.",
            logger,
        )

    @property
    def ending(self) -> bool:
        """Whether the process has been asked to end."""
        return self._hook.triggered

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncGenerator[None]:
        """The lifespan of an application that the server lives in; several may enter it at once."""
        if self._users == 0:
            # A new hook: the application may have been ended and started again.
            self._hook = self._new_hook()
            self._started = False
            await self.ensure_started()
            self._sweeper = asyncio.create_task(self._sweep())
            self._watcher = asyncio.create_task(self._watch())
            if is_audited(self._server):
                self._auditor = asyncio.create_task(self._audit())
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                await self._stop()

    async def ensure_started(self) -> None:
        """Starts the server if it is not; raises ConfigurationError for several workers that it cannot work in."""
        if self._started:
            return
        self._server.check_workers(usual_workers() if self._workers is None else self._workers)
        # Set before waiting: later requests need not wait for the recovery of other turns.
        self._started = True
        try:
            self._hook.install()
            recovered = await self._server.recover()
            if is_audited(self._server):
                await begin_auditing(self._server)
        except BaseException as error:
            self._started = False
            self._hook.uninstall()
            if isinstance(error, SELF_EXPLANATORY):
                # HTTP servers print the traceback, which would hide what to do.
                logger.debug("The server could not be started.", exc_info=error)
                raise error.with_traceback(None) from None
            raise
        if recovered:
            logger.info("Finished %d turns that were cut off when a process ended.", recovered)

    def watch(self, stream: EventStreamResponse) -> None:
        """Makes sure that a stream which begins now ends promptly when the process is asked to end."""
        self._hook.install()
        self._streams.add(stream)

    async def check(self) -> None:
        """Returns if requests can be served; raises the store's error, or StoreUnavailableError after five seconds.

        Callers at the same time share one question to the store, and a good answer holds for a second: anyone may ask.
        """
        loop = asyncio.get_running_loop()
        check = self._check
        is_old = time.monotonic() - self._checked_at >= _CHECK_HOLDS_SECONDS
        if (
            check is None
            or check.get_loop() is not loop
            or (check.done() and (is_old or check.cancelled() or check.exception() is not None))
        ):
            check = self._check = loop.create_task(self._ask_store())
        # One that leaves does not take the answer away from the others.
        await asyncio.shield(check)

    async def _ask_store(self) -> None:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._server.check()
        except TimeoutError as error:
            raise StoreUnavailableError(f"The store did not answer within {_CHECK_SECONDS:g} s.") from error
        finally:
            self._checked_at = time.monotonic()

    def sweep_in_passing(self) -> BackgroundTask | None:
        """Returns what sweeps orphaned files after an answer, None where that is not due or done otherwise.

        It is part of its request, so that it ends with the request's event loop at the latest.
        """
        now = time.monotonic()
        due = self._swept_at is None or now - self._swept_at >= _SWEEP_SECONDS
        nothing = self._server.attachment_store is None and not self._server.retention
        if self._users or self.ending or not due or nothing:
            return None
        self._swept_at = now
        return BackgroundTask(self._sweep_now)

    async def _sweep_now(self) -> None:
        self._passing = sweep = asyncio.create_task(self._sweep_once())
        try:
            await asyncio.wait({sweep}, timeout=_SWEEP_IN_PASSING_SECONDS)
        finally:
            sweep.cancel()
            await asyncio.wait({sweep})
            self._passing = None

    async def _sweep(self) -> None:
        while True:
            await self._sweep_once()
            await asyncio.sleep(_SWEEP_SECONDS)

    async def _watch(self) -> None:
        """Ends the turns of workers that die while this one lives."""
        while True:
            await asyncio.sleep(self._server.sweep_seconds)
            try:
                recovered = await self._server.recover()
            except Exception as error:  # noqa: BLE001 -- it is logged
                self._search.failed(error)
            else:
                self._search.recovered()
                if recovered:
                    logger.info("Ended %d turns of workers that died.", recovered)

    async def _audit(self) -> None:
        """Has what was counted recorded, and the end of the audit log published."""
        auditing = auditing_of(self._server)
        auditing.tended = True
        try:
            while True:
                await auditing.tend()
                await asyncio.sleep(_AUDIT_SECONDS)
        finally:
            auditing.tended = False

    async def _sweep_once(self) -> None:
        try:
            swept = await self._server.sweep_orphans()
        except Exception as error:  # noqa: BLE001 -- it is logged
            log_failure(logger, "Files that no message came for could not be deleted", error)
        else:
            if swept:
                logger.info("Deleted %d files that no message came for.", swept)
        try:
            report = await self._server.apply_retention()
        except Exception as error:  # noqa: BLE001 -- it is logged
            log_failure(logger, "Threads that were kept for long enough could not be deleted", error)
        else:
            if report is not None and report.threads:
                logger.info(
                    "Deleted %d threads that were kept for long enough.", sum(report.threads.values())
                )

    async def _stop(self) -> None:
        tasks = (self._sweeper, self._watcher, self._auditor, self._check)
        await end_tasks(task for task in tasks if task is not None)
        self._check = None
        self._sweeper = self._watcher = self._auditor = None
        try:
            await self._close()
        finally:
            self._hook.uninstall()
            self._started = False
            await _flush_observers()

    def _new_hook(self) -> ShutdownHook:
        return ShutdownHook(self._end_turns, self._end_turns_at_once)

    async def _end_turns(self) -> None:
        sweep = self._passing
        if sweep is not None and sweep.get_loop() is asyncio.get_running_loop():
            # The HTTP server waits for the request that it is part of.
            sweep.cancel()
        if self._drain_seconds > 0:
            logger.info("Running turns have %g s to end; no new ones are taken.", self._drain_seconds)
            with self._hurry(self._drain_seconds):
                await self._server.drain(self._drain_seconds)
        else:
            await self._end_turns_at_once()
        # What is still read then runs in other workers, where clients can go on reading it.
        asyncio.get_running_loop().call_later(_LAST_EVENTS_SECONDS, self._leave_streams)

    async def _end_turns_at_once(self) -> None:
        with self._hurry():
            await self._server.shutdown()

    def _leave_streams(self) -> None:
        for stream in list(self._streams):
            stream.leave()

    async def _close(self) -> None:
        async def close() -> None:
            await self._hook.wait()
            await self._server.close()

        if self._drain_seconds > 0:
            await self._hook.wait()
        closing = asyncio.create_task(close())
        with self._hurry():
            # Not a timeout: what is being saved may not heed that it is cancelled.
            await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)
        if closing.done():
            await closing
        else:
            closing.cancel()
            logger.warning(
                "The server could not be closed within %g s; what running turns had not stored by then is lost, "
                "but for their checkpoints.",
                _CLOSE_SECONDS,
            )

    @contextmanager
    def _hurry(self, delay: float = 0.0) -> Generator[None]:
        """Lets a store that can wait for others do so for a moment only, after ``delay`` seconds."""
        timer = asyncio.get_running_loop().call_later(delay + _PATIENCE_SECONDS, self._stop_waiting)
        try:
            yield
        finally:
            timer.cancel()

    def _stop_waiting(self) -> None:
        # A store of ten methods knows of no such thing.
        store = cast("object", self._server.store)
        if isinstance(store, Store) and store.stop_waiting():
            logger.warning(
                "The store is held up while the server ends: what cannot be stored at once is not, but for the "
                "checkpoints of its turns."
            )


async def _flush_observers() -> None:
    """Lets observers send what is waiting: the process may be ended by a signal in a moment."""
    flushing = [asyncio.create_task(asyncio.to_thread(observer.flush)) for observer in observers()]
    if flushing:
        await asyncio.wait(flushing, timeout=_CLOSE_SECONDS)


def usual_workers() -> int:
    """Returns how many workers ``WEB_CONCURRENCY`` asks servers for; 1 if it does not name a number."""
    given = os.environ.get("WEB_CONCURRENCY", "")
    return max(1, int(given)) if given.isascii() and given.isdigit() and len(given) < 7 else 1
