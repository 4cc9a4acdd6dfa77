"""``chatkit admin``: what an operator looks at, and does, over the database of a chat."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final, TypeVar, cast

from chatkit.admin import Admin, Rating, StuckTurn
from chatkit.audit import Operator
from chatkit.cli.operator import open_audit, open_existing
from chatkit.cli.options import CommandError
from chatkit.cli.show_thread import print_thread
from chatkit.cli.streams import open_log
from chatkit.cli.tables import age, cell, moment, print_json, print_table, say
from chatkit.cli.usage import print_usage
from chatkit.ids import utc_now
from chatkit.store import OwnerSummary, ThreadSummary
from chatkit.streams import HeldTurn, WorkerRecord

__all__ = ["run"]

T = TypeVar("T")

_PAGE: Final = 500
_STOP_SECONDS: Final = 60.0


def run(arguments: argparse.Namespace) -> int:
    """Does what a command asks for, and returns the exit code."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    async with AsyncExitStack() as stack:
        store = open_existing(arguments.db, stack)
        log = open_log(getattr(arguments, "stream_log", None), store, None) or store.stream_log()
        arguments.log = log
        if log is not None:
            stack.push_async_callback(log.close)
        audit = None if arguments.audit_db is None else open_audit(arguments.db, arguments.audit_db, stack)
        operator = Operator.local(getattr(arguments, "note", ""))
        admin = Admin(store, log, audit, operator=operator)
        await _COMMANDS[arguments.admin_command](admin, arguments)
    return 0


async def _owners(admin: Admin, arguments: argparse.Namespace) -> None:
    async def load(limit: int, after: str | None) -> list[OwnerSummary]:
        return await admin.owners(limit, after)

    def row(owner: OwnerSummary) -> Sequence[str]:
        numbers = (owner.threads, owner.items, owner.files, owner.file_bytes)
        return cell(owner.owner), *(f"{number:,}" for number in numbers), moment(owner.last_active_at)

    head = ("owner", "threads", "items", "files", "bytes", "last active")
    table = _Table(arguments, head, row, asdict, head[1:5])
    await table.pages(load, lambda owner: owner.owner, arguments.after)


async def _threads(admin: Admin, arguments: argparse.Namespace) -> None:
    async def load(limit: int, after: str | None) -> list[ThreadSummary]:
        return await admin.threads(arguments.owner, limit, after)

    def row(thread: ThreadSummary) -> Sequence[str]:
        counts = f"{thread.items:,}", f"{thread.files:,}"
        return cell(thread.id), moment(thread.created_at), moment(thread.updated_at), *counts

    head = ("thread", "created", "last active", "items", "files")
    table = _Table(arguments, head, row, asdict, head[3:])
    await table.pages(load, lambda thread: thread.id, arguments.after)


async def _show(admin: Admin, arguments: argparse.Namespace) -> None:
    opened = await admin.open_thread(arguments.thread, arguments.reason, owner=arguments.owner)
    await print_thread(opened, as_json=arguments.json)


async def _running(admin: Admin, arguments: argparse.Namespace) -> None:
    async def load(limit: int, after: str | None) -> list[HeldTurn]:
        return await admin.running(limit, after or "")

    def row(turn: HeldTurn) -> Sequence[str]:
        info = turn.info
        return (
            cell(info.id),
            cell(info.thread_id),
            cell(info.owner or "-"),
            cell(turn.holder.partition("/")[0]),
            age((utc_now() - info.started_at).total_seconds()),
            str(info.attempt),
            _state(turn),
        )

    def fields(turn: HeldTurn) -> dict[str, Any]:
        info = turn.info
        return {
            "turn": info.id,
            "thread": info.thread_id,
            "owner": info.owner,
            "worker": turn.holder.partition("/")[0],
            "started_at": info.started_at,
            "attempt": info.attempt,
            "state": _state(turn),
            "lease_seconds": turn.lease_seconds,
        }

    head = ("turn", "thread", "owner", "worker", "age", "attempt", "state")
    table = _Table(arguments, head, row, fields, ("age", "attempt"))
    await table.pages(load, lambda turn: turn.info.id, arguments.after)


def _state(turn: HeldTurn) -> str:
    if turn.claimed:
        return "claimed"
    if turn.lapsed:
        return "without a worker"
    return "stopping" if turn.stop else "running"


async def _stop(admin: Admin, arguments: argparse.Namespace) -> None:
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            stopped = await admin.stop(arguments.turn, arguments.reason)
    except TimeoutError:
        raise CommandError(
            f"The turn is asked to stop, and has not ended within {_STOP_SECONDS:g} s. See 'chatkit admin running'."
        ) from None
    if arguments.json:
        print_json([{"turn": arguments.turn, "stopped": stopped}])
    else:
        say("The turn is stopped." if stopped else "The turn had ended before.")


async def _stuck(admin: Admin, arguments: argparse.Namespace) -> None:
    def row(turn: StuckTurn) -> Sequence[str]:
        ids = cell(turn.turn_id), cell(turn.thread_id), cell(turn.owner or "-")
        return *ids, age(turn.seconds), turn.why

    head = ("turn", "thread", "owner", "for", "why")
    await _Table(arguments, head, row, asdict, ("for",)).stream(admin.stuck(), None)


async def _workers(admin: Admin, arguments: argparse.Namespace) -> None:
    def row(worker: WorkerRecord) -> Sequence[str]:
        left = worker.lease_seconds
        lease = "-" if left is None else f"{left:.0f} s"
        state = "dead" if worker.dead else "alive"
        return cell(worker.id), cell(worker.process or "-"), f"{worker.turns:,}", lease, state

    head = ("worker", "process", "turns", "lease", "state")
    table = _Table(arguments, head, row, WorkerRecord._asdict, ("turns", "lease"))
    mine = arguments.log.holder() if arguments.log is not None else ""
    # This process, which is there to look.
    table.add([worker for worker in await admin.workers() if worker.id != mine])
    table.end()


async def _usage(admin: Admin, arguments: argparse.Namespace) -> None:
    now = utc_now()
    since, until = now - timedelta(days=arguments.days), now + timedelta(days=1)
    totals = await admin.usage(since, until, arguments.owner)
    if arguments.json:
        print_json(asdict(total) for total in totals)
    else:
        print_usage(totals, arguments.db, arguments.days, plot=arguments.plot)


async def _feedback(admin: Admin, arguments: argparse.Namespace) -> None:
    def row(rating: Rating) -> Sequence[str]:
        return cell(rating.owner), cell(rating.thread_id), cell(rating.item_id), rating.kind

    table = _Table(arguments, ("owner", "thread", "item", "feedback"), row, asdict)
    await table.stream(admin.feedback(arguments.owner), None if arguments.all else arguments.limit)


class _Table:
    """Prints records in pages: tables with a head each, or JSON lines."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        head: Sequence[str],
        row: Callable[[Any], Sequence[str]],
        fields: Callable[[Any], dict[str, Any]],
        numbers: Iterable[str] = (),
    ) -> None:
        self._as_json: bool = arguments.json
        self._limit: int | None = None if getattr(arguments, "all", True) else arguments.limit
        self._head = head
        self._row = row
        self._fields = fields
        self._numbers = tuple(numbers)
        self._printed = False

    def add(self, records: Sequence[Any]) -> None:
        """Prints a page."""
        if not records:
            return
        self._printed = True
        if self._as_json:
            print_json(map(self._fields, records))
        else:
            print_table(self._head, [self._row(record) for record in records], self._numbers)

    def end(self) -> None:
        """Says so if there was nothing."""
        if not self._printed and not self._as_json:
            say("Nothing.")

    async def pages(
        self,
        load: Callable[[int, str | None], Awaitable[list[Any]]],
        name_of: Callable[[Any], str],
        after: str | None,
    ) -> None:
        """Prints what ``load`` returns: one page, or all of them.

        Args:
            load: Returns so many records after one.
            name_of: Returns what a record is found by.
            after: Where they begin.
        """
        if self._limit is not None:
            found = await load(self._limit + 1, after)
            self.add(found[: self._limit])
            if len(found) > self._limit and not self._as_json:
                say(f"There are more: --after {cell(name_of(found[self._limit - 1]), 200)}, or --all.")
        else:
            while found := await load(_PAGE, after):
                self.add(found)
                after = name_of(found[-1])
        self.end()

    async def stream(self, records: AsyncIterator[Any], limit: int | None) -> None:
        """Prints records as they come.

        Args:
            records: The records.
            limit: How many at most; None for all.
        """
        page: list[Any] = []
        count = 0
        async for record in records:
            if count == limit:
                self.add(page)
                page = []
                if not self._as_json:
                    say("There are more: --all.")
                break
            count += 1
            page.append(record)
            if len(page) >= _PAGE:
                self.add(page)
                page = []
        self.add(page)
        self.end()


_COMMANDS: Final = cast(
    "dict[str, Callable[[Admin, argparse.Namespace], Awaitable[None]]]",
    {
        "owners": _owners,
        "threads": _threads,
        "show": _show,
        "running": _running,
        "stop": _stop,
        "stuck": _stuck,
        "workers": _workers,
        "usage": _usage,
        "feedback": _feedback,
    },
)
