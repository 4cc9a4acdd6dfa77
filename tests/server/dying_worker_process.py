"""A worker that kills itself at one point of a request: run in a process of its own, see :mod:`multiprocessing`.

A point is a moment and a name. The names are those of the methods of the store and of the log's backend, ``store.`` and
``log.`` in front, and of the functions that wait for anything else. The moments:

- ``before`` and ``after`` such a method runs,
- ``open``: everything is written, and its transaction is not committed yet,
- ``commit``: the ``COMMIT`` is on its way to the server,
- ``in``: a function waits.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import asyncpg

import chatkit
from chatkit import _postgres, _sqlite
from chatkit.errors import RequestError
from chatkit.ids import new_id
from chatkit.store import PostgresStore, SQLiteStore
from chatkit.streams import PostgresStreamLog, RedisStreamLog, SQLiteStreamLog
from chatkit.streams.backends.postgres import PostgresBackend
from chatkit.streams.backends.redis import RedisBackend
from chatkit.streams.backends.sqlite import SQLiteBackend
from tests.server.support import ScriptedServer, added, all_texts, delta, done, drain, read, writes_apart
from tests.support.scale import lasting

FIRST, SECOND = "Of the first worker", "Of the second worker"
LEASE = lasting(1.5)
WAITING = "in wait_unless"
KEYS = {"m0": "key_0", "m1": "key_1", "m2": "key_2"}


class Place(NamedTuple):
    """Where workers keep what they share.

    Attributes:
        setup: ``"sqlite"``, ``"postgres"`` (store and log) or ``"redis"`` (store in PostgreSQL, log in Redis).
        database: File, or connection string.
        redis: URL, if need be.
        prefix: Of the keys there.
        owner: Whose threads they are.
    """

    setup: str
    database: str
    redis: str
    prefix: str
    owner: str


class Orders(NamedTuple):
    """What a worker is to do.

    Attributes:
        place: Where.
        apart: Whether message, key and turn are written one by one.
        scene: ``"new"``: creates a thread. ``"idle"``: answers in a thread. ``"busy"``: in one in which it writes
            another answer. ``"elsewhere"``: in one in which another worker does.
        policy: The server's ``concurrency``.
        reruns: The server's ``rerun_on_crash``.
        thread_id: The thread, if it is there already.
        point: Where it dies; empty for a worker that says which points it comes by.
    """

    place: Place
    apart: bool
    scene: str
    policy: str
    reruns: int
    thread_id: str
    point: str


class Surviving(ScriptedServer):
    """Says that its handler may run twice."""

    def dump_context(self, context: Any) -> Any:
        return context

    def load_context(self, data: Any) -> Any:
        return data


def make_server(orders: Orders, script: Any) -> Surviving:
    place = orders.place
    store: Any
    log: Any
    if place.setup == "sqlite":
        store = SQLiteStore(place.database)
        log = SQLiteStreamLog(store.database, lease=LEASE)
    else:
        store = PostgresStore(place.database, max_connections=3)
        log = (
            PostgresStreamLog(store.database, lease=LEASE)
            if place.setup == "postgres"
            else RedisStreamLog(place.redis, prefix=place.prefix, lease=LEASE)
        )
    store = writes_apart(store) if orders.apart else store
    policy: Any = orders.policy
    return Surviving(script, store, stream_log=log, concurrency=policy, rerun_on_crash=orders.reruns)


def sent(text: str) -> dict[str, Any]:
    """Returns the metadata that a message is sent with, whenever it is."""
    return {"resumable": True, "idempotency_key": KEYS[text]}


def answered(worker: str, text: str) -> str:
    return f"{worker}: {text}"


# The worker.

_PACKAGE = str(Path(chatkit.__file__).parent)
_mine: ContextVar[bool] = ContextVar("of the request that the worker dies in", default=False)
_calling: ContextVar[str] = ContextVar("the method that is called", default="")
_BACKGROUND = frozenset({"log.save"})
"""What is done for all turns together."""


class Watch:
    """Knows the points that the worker comes by, and kills it at one of them."""

    def __init__(self, orders: Orders, tell: Callable[[str, Any], None]) -> None:
        self.point = orders.point
        self.queues = orders.scene == "elsewhere" and orders.policy == "enqueue"
        self.tell = tell
        self.armed = False
        self.seen: dict[str, None] = {}

    def reach(self, moment: str, name: str, *, mine: bool | None = None) -> bool:
        """Returns whether the worker is to die here, which it does at once unless the moment is ``commit``."""
        of_request = _mine.get() if mine is None else mine
        if not self.armed or not (of_request or name in _BACKGROUND):
            return False
        point = f"{moment} {name}"
        self.seen.setdefault(point)
        if moment == "after":
            self.tell("done", name)
        if point == WAITING and self.queues:
            # Not before: the answer elsewhere would have ended, and there would be nothing to wait for.
            self.tell("begun", None)
        if point == self.point:
            self.tell("at", point)
        if point == self.point and moment != "commit":
            os.kill(os.getpid(), signal.SIGKILL)
        return point == self.point

    def over(self, kind: type[Any], side: str) -> None:
        """Watches the methods of a class."""
        for name, method in list(vars(kind).items()):
            if inspect.iscoroutinefunction(method) and not name.startswith("_"):
                setattr(kind, name, self._watched(f"{side}.{name}", method))

    def _watched(self, name: str, method: Any) -> Any:
        async def port(*arguments: Any, **rest: Any) -> Any:
            self.reach("before", name)
            outer = _calling.set(name)
            try:
                return await method(*arguments, **rest)
            finally:
                _calling.reset(outer)
                self.reach("after", name)

        return port

    def over_transactions(self) -> None:
        """Watches what is between a method's last write and the end of its transaction."""
        watch = self
        write_file, write_server = _sqlite.Database.write, _postgres.Database.write
        execute = asyncpg.Connection.execute

        async def in_file(self: Any, work: Any, **rest: Any) -> Any:
            name, mine = _calling.get(), _mine.get()

            def last(connection: Any) -> Any:
                result = work(connection)
                watch.reach("open", name, mine=mine)
                return result

            return await write_file(self, last, **rest)

        async def on_server(self: Any, work: Any, **rest: Any) -> Any:
            async def last(transaction: Any) -> Any:
                result = await work(transaction)
                watch.reach("open", _calling.get())
                return result

            return await write_server(self, last, **rest)

        async def committing(self: Any, query: str, *arguments: Any, **rest: Any) -> Any:
            coroutine = execute(self, query, *arguments, **rest)
            if query == "COMMIT" and watch.reach("commit", _calling.get()):
                with suppress(StopIteration):
                    coroutine.send(None)
                os.kill(os.getpid(), signal.SIGKILL)
            return await coroutine

        _sqlite.Database.write = in_file  # type: ignore[method-assign]
        _postgres.Database.write = on_server  # type: ignore[method-assign]
        asyncpg.Connection.execute = committing

    def make_task(self, loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(Stepped(coroutine, self), loop=loop, **options)


class Stepped(Coroutine[Any, Any, Any]):
    """Runs a task's coroutine, and notes what it waits for."""

    def __init__(self, coroutine: Any, watch: Watch) -> None:
        self._coroutine = coroutine
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)

    def __await__(self) -> Any:
        return self._coroutine.__await__()

    def send(self, value: Any, /) -> Any:
        waits_for = self._coroutine.send(value)
        self._note()
        return waits_for

    def throw(self, *error: Any) -> Any:
        waits_for = self._coroutine.throw(*error)
        self._note()
        return waits_for

    def close(self) -> None:
        self._coroutine.close()

    def _note(self) -> None:
        if not self._watch.armed or not _mine.get():
            return
        innermost, within = "", self._coroutine
        while within is not None:
            code = _of(within, "code")
            if code is None:
                break
            if code.co_name == "port" and code.co_filename == __file__:
                return
            if code.co_filename.startswith(_PACKAGE):
                innermost = code.co_qualname
            within = _of(within, "await") or getattr(within, "gi_yieldfrom", None)
        if innermost:
            self._watch.reach("in", innermost)


def _of(coroutine: Any, what: str) -> Any:
    return next(
        (
            found
            for prefix in ("cr", "ag", "gi")
            if (found := getattr(coroutine, f"{prefix}_{what}", None)) is not None
        ),
        None,
    )


def work(orders: Orders, connection: Connection) -> None:
    """Runs the worker; what it tells, pairs of a word and a value, goes to the connection."""
    logging.disable()
    lock = Lock()

    def tell(word: str, value: Any) -> None:
        with lock:
            connection.send((word, value))

    watch = Watch(orders, tell)
    watch.over_transactions()
    for kind in (SQLiteStore, PostgresStore):
        # The classes: a store with a method of its own would write one by one.
        watch.over(kind, "store")
    for kind in (SQLiteBackend, PostgresBackend, RedisBackend):
        watch.over(kind, "log")
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(watch.make_task)
        runner.run(_live(orders, watch))
    tell("seen", list(watch.seen))


async def _live(orders: Orders, watch: Watch) -> None:
    release = asyncio.Event()

    async def answer(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        (text,) = all_texts([message])
        item_id = new_id("message")
        if text == "m1":
            yield added("", item_id)
            yield delta("So far", item_id)
            await release.wait()
        yield done(answered(FIRST, text), item_id)

    server = make_server(orders, answer)
    context = {"user_id": orders.place.owner}
    thread_id = orders.thread_id
    reading = None
    if not thread_id:
        created = await server.create("m0", context, sent("m0"))
        thread_id = created.thread_id
        await drain(created)
    else:
        # What a worker does now and then is no part of the request.
        await server.recover()
    if orders.scene == "busy":
        running = await server.say(thread_id, "m1", sent("m1"), context)
        await read(aiter(running), 4)
        reading = asyncio.create_task(drain(running))
    watch.tell("thread", thread_id)

    async def request() -> None:
        _mine.set(True)
        watch.armed = True
        try:
            if orders.scene == "new":
                result = await server.create("m2", context, sent("m2"))
            else:
                result = await server.say(thread_id, "m2", sent("m2"), context)
        except RequestError as error:
            watch.tell("refused", error.code)
            return
        finally:
            # What runs beside it ends; elsewhere too.
            release.set()
            if not watch.queues:
                watch.tell("begun", None)
        await drain(result)

    await asyncio.create_task(request())
    watch.armed = False
    if reading is not None:
        await reading
    await server.close()
