"""Which processes use an SQLite file: a table in it that each of them looks at."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from chatkit._outages import log_failure
from chatkit._sql import load_queries
from chatkit._sqlite import MEMORY, Database, Watch
from chatkit.errors import ChatKitError, ConfigurationError, StoreError
from chatkit.ids import new_id
from chatkit.streams.worker import Worker, is_on_network

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["SQL", "FileWorkers"]

_LOOK_AGAIN_SECONDS: Final = 0.1
"""Time for which a process that was alone on its file takes that for granted."""
_SETTLING_SECONDS: Final = 0.5
"""Time in which every other process has written the turns that it began before it saw this one."""
_WRITE_SECONDS: Final = 2.0
"""Time that a process spends on writing that it is there; it can wait for that, its callers cannot."""
_LOCK_SECONDS: Final = 0.1
"""The part of it in which others may hold the file's lock."""
_RETRY_SECONDS: Final = 1.0
_SEEN_EVERY_SECONDS: Final = 30.0
_FORGET_WORKER_SECONDS: Final = 120.0
"""Time after which a process is forgotten that cannot be asked for: one of another container."""

SQL: Final = load_queries(Path(__file__).with_name("sqlite.sql"))
_ANOTHER_WORKER: Final = "SELECT 1 FROM stream_workers WHERE holder <> :holder LIMIT 1"
_logger = logging.getLogger("chatkit.streams")


class FileWorkers:
    """The processes on a file, seen from one event loop of one of them.

    Args:
        database: The file.
        holder: Names this worker.
        worker: Returns this process.

    Attributes:
        alone: Whether no other worker was there at the last look.
        entered: Whether the others can know of this one.
        watch: Looks at the file; None where it is in memory.
        loop: The event loop.
    """

    def __init__(self, database: Database, holder: Callable[[], str], worker: Callable[[], Worker]) -> None:
        self.alone = True
        self.entered = False
        # A database in memory belongs to its one connection.
        self.watch = None if database.path in {"", MEMORY} else Watch(database.path)
        self._database = database
        self._holder = holder
        self._worker = worker
        self._id = new_id("loop")
        self._registered = False
        self._existed = False
        self._look_at = 0.0
        self._enter_at = 0.0
        self._warned = False
        self.loop = asyncio.get_running_loop()
        _here[self._id] = self

    def is_alone(self) -> bool:
        """Looks whether other processes use the file."""
        now = time.monotonic()
        if self.watch is not None and now > self._look_at and self.exists():
            found = self.watch.has_row(_ANOTHER_WORKER, {"holder": self._holder()})
            if found is not None:
                self.alone = not found
            self._look_at = now + _LOOK_AGAIN_SECONDS
        return self.alone

    def exists(self) -> bool:
        """Returns whether the file is there."""
        self._existed = self._existed or Path(self._database.path).exists()
        return self._existed

    async def register(self) -> None:
        """Tells the other processes that this one is there, and forgets those that are gone.

        Where the file cannot be written, that is done later, or by the next save.

        Raises:
            StoreError: The file cannot be read.
            ConfigurationError: The file is on a network file system, and others use it.
        """
        if self.watch is not None:
            await self.update(*await self._database.read(self.look))

    async def update(self, gone: list[str], others: bool, is_known: bool) -> None:
        """Does what ``register`` does with what ``look`` has returned."""
        if self.watch is None:
            return
        if gone or not is_known:
            found = await self._try_to_enter()
            if found is not None:
                others, is_known = found, True
        self.alone = not others
        if not is_known:
            return
        if others and not self._registered:
            await asyncio.sleep(_SETTLING_SECONDS)
        self.entered = self._registered = True

    async def _try_to_enter(self) -> bool | None:
        """Writes that this process is there; returns whether others are, None if that cannot be written soon."""
        if time.monotonic() < self._enter_at:
            return None
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                others = await self._database.write(self.enter, wait=_LOCK_SECONDS)
        except (StoreError, TimeoutError) as error:
            self._enter_at = time.monotonic() + _RETRY_SECONDS
            if not self._warned:
                self._warned = True
                log_failure(
                    _logger,
                    "Other workers cannot be told of this one yet, which is tried again",
                    error,
                    brief=True,
                )
            return None
        self._warned = False
        return others

    def look(self, connection: Connection) -> tuple[list[str], bool, bool]:
        """Returns the rows of dead processes, whether others are there, and whether those know of this one."""
        gone: list[str] = []
        others = is_known = False
        now = time.time()
        for worker_id, holder, place, pid, started, seen_at in connection.execute(SQL["load_workers"]):
            if worker_id == self._id:
                is_known = now - seen_at < _SEEN_EVERY_SECONDS
                continue
            worker = Worker(place, pid, started)
            is_silent = now - seen_at > _FORGET_WORKER_SECONDS
            if worker == Worker.current():
                is_gone = _is_closed(worker_id)
            else:
                is_gone = worker.is_dead() or (is_silent and not self.sees(worker))
            if is_gone:
                gone.append(worker_id)
            elif holder != self._holder():
                others = True
        return gone, others, is_known

    def enter(self, connection: Connection) -> bool:
        """Writes that this process is there, and returns whether others are.

        Raises:
            ConfigurationError: The file is on a network file system, and others use it.
        """
        gone, others, _ = self.look(connection)
        if not self.entered and is_on_network(self._database.path):
            self._check_network(others)
        connection.executemany(SQL["delete_worker"], [{"id": worker_id} for worker_id in gone])
        connection.execute(SQL["register_worker"], self.place_row() | {"id": self._id, "now": time.time()})
        return others

    def _check_network(self, others: bool) -> None:
        """Warns, or refuses a second worker: processes cannot share a file over a network file system."""
        path = self._database.path
        if others:
            raise ConfigurationError(
                f"The database {path} is on a network file system, where several workers would damage it. Run one "
                "worker, move the file to a local disk, or use PostgreSQL."
            )
        _logger.warning(
            "The database %s is on a network file system: use it from one process only, and better move it to a "
            "local disk",
            path,
        )

    def place_row(self) -> dict[str, object]:
        """Returns the columns that make a turn this worker's."""
        worker = self._worker()
        return {
            "holder": self._holder(),
            "place": worker.place,
            "pid": worker.pid,
            "process_start": worker.started,
        }

    def sees(self, worker: Worker) -> bool:
        """Returns whether a worker that is not dead is known to run: another process, of this machine."""
        here = self._worker()
        return worker != here and worker.place == here.place and bool(worker.started)

    async def be_registered(self) -> None:
        """Registers, unless that was done."""
        if not self._registered:
            await self.register()

    def _is_open(self) -> bool:
        # What was closed stays closed, and what was deleted stays away.
        return self._database.is_open and Path(self._database.path).exists()

    async def leave(self) -> None:
        """Deletes the row of this process, and closes the connection that looks."""
        entered = self.entered and self.watch is not None
        self.entered = self._registered = False
        if self.watch is not None:
            self.watch.close()
        if entered and self._is_open():
            with suppress(ChatKitError, TimeoutError):
                async with asyncio.timeout(_WRITE_SECONDS):
                    await self._database.write(
                        lambda connection: (
                            connection.execute(SQL["delete_worker"], {"id": self._id}).rowcount
                        ),
                        wait=_LOCK_SECONDS,
                    )


_here: WeakValueDictionary[str, FileWorkers] = WeakValueDictionary()
"""Those of the event loops of this process."""


def _is_closed(worker_id: str) -> bool:
    """Returns whether a row of this process is of an event loop that has been closed, or left the file."""
    found = _here.get(worker_id)
    return found is None or found.loop.is_closed()
