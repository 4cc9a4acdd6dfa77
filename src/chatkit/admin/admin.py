"""Admin: what an operator may look at and do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, cast, get_args

from chatkit.admin.records import OpenedThread, Rating, StuckTurn
from chatkit.audit import AuditEvent, AuditKind, AuditLog, Operator, Role, audit_log_of
from chatkit.audit.entries import as_line
from chatkit.errors import ConfigurationError, ConflictError, NotFoundError, UnsupportedOperationError
from chatkit.ids import utc_now
from chatkit.store.base import OwnedThread, OwnerContext, Store
from chatkit.store.lookups import FEEDBACK_FIELD
from chatkit.store.survey import OpenTurn, OwnerSummary, StoreSurvey, ThreadSummary
from chatkit.store.usage import UsageKeeper
from chatkit.streams.backend import HeldTurn, WorkerRecord
from chatkit.streams.log import StreamLog
from chatkit.types import FeedbackKind
from chatkit.usage import UsageTotal

__all__ = ["Admin"]

_PAGE: Final = 1000
_THREADS: Final = 5000
"""Threads of all owners on a page: a store may look at all of them for each."""
_KINDS: Final = get_args(FeedbackKind)


class Admin:
    """What an operator looks at, and does.

    Every method raises :class:`chatkit.errors.PermissionDeniedError` for an operator who does not have the role that it
    takes: any role to look at counts, ids and times, ``read`` for what is said, ``decide`` to stop a turn. What the
    store or the log cannot tell is an :class:`chatkit.errors.UnsupportedOperationError`.

    Args:
        store: The store of the server.
        log: Its stream log; None for the one that suits the store.
        audit: Where it is recorded that content was read, or a turn stopped; None for the database of the store.
        operator: Who asks.

    Raises:
        UnsupportedOperationError: The store is not of this package's kind.
    """

    def __init__(
        self,
        store: Store[Any],
        log: StreamLog | None = None,
        audit: AuditLog | None = None,
        *,
        operator: Operator,
    ) -> None:
        if not isinstance(cast("object", store), Store):
            raise UnsupportedOperationError(
                f"{type(store).__name__} is no chatkit.store.Store, and cannot be looked into."
            )
        self._store = store
        self._log = log
        self._audit = audit
        self._operator = operator

    async def owners(self, limit: int = 100, after: str | None = None) -> list[OwnerSummary]:
        """Returns owners by name, with what is kept of each.

        Args:
            limit: How many at most.
            after: The owner after whom they begin.
        """
        return await self._survey().survey_owners(limit, after)

    async def threads(self, owner: str, limit: int = 100, after: str | None = None) -> list[ThreadSummary]:
        """Returns an owner's threads, the newest first, without their titles.

        Args:
            owner: The owner.
            limit: How many at most.
            after: The thread after which they begin.
        """
        return await self._survey().survey_owner(owner, limit, after)

    async def open_thread(
        self, thread_id: str, reason: str | None, *, owner: str | None = None
    ) -> OpenedThread:
        """Returns a thread and its items, after it was recorded that the operator reads it.

        Args:
            thread_id: The thread.
            reason: Why, in a line without personal data.
            owner: Whose it is; None where only one owner has a thread of that id.

        Raises:
            InvalidRequestError: There is no reason. Nothing was read.
            NotFoundError: There is no such thread.
            ConflictError: Several owners have one.
            StoreError: That cannot be recorded. Nothing was read.
        """
        reason = self._operator.require(Role.READ, reason)
        if not self._store.knows_owners:
            raise UnsupportedOperationError(f"{type(self._store).__name__} knows no owners.")
        audit = self._audit_log()
        owner = await self._owner_of(thread_id, owner)
        event = AuditEvent(
            kind=AuditKind.CONTENT_READ,
            actor=self._operator.actor,
            owner=owner,
            subject=as_line(thread_id),
            reason=reason,
        )
        await audit.record(event)
        thread = await self._store.load_thread(thread_id, OwnerContext(owner))
        return OpenedThread(self._store, owner, thread)

    async def _owner_of(self, thread_id: str, owner: str | None) -> str:
        found = await self._survey().owners_of_thread(thread_id)
        if owner is not None and owner in found:
            return owner
        if not found or owner is not None:
            raise NotFoundError(f"There is no thread {thread_id!r}.")
        if len(found) > 1:
            raise ConflictError(f"{len(found)} owners have a thread {thread_id!r}: say whose is meant.")
        return found[0]

    async def running(self, limit: int = 100, after: str = "") -> list[HeldTurn]:
        """Returns the turns that run in all workers, by their ids, without the contexts of their requests.

        Args:
            limit: How many at most.
            after: The id after which they begin.
        """
        self._look()
        found = await self._stream_log().survey_turns(limit, after)
        # A context may hold what nobody but the turn is to know.
        return [held._replace(info=replace(held.info, context=None)) for held in found]

    async def workers(self, limit: int = 1000) -> list[WorkerRecord]:
        """Returns the workers that share the stream log, those first whose leases last longest.

        Args:
            limit: How many at most.
        """
        self._look()
        return await self._stream_log().survey_workers(limit)

    async def stop(self, turn_id: str, reason: str | None) -> bool:
        """Stops a turn, after that was recorded, and waits for its end; returns whether it was running.

        Args:
            turn_id: The turn.
            reason: Why, in a line without personal data.

        Raises:
            InvalidRequestError: There is no reason.
            NotFoundError: The stream log does not know the turn.
            StoreError: It cannot be recorded; the turn goes on.
        """
        reason = self._operator.require(Role.DECIDE, reason)
        log, audit = self._stream_log(), self._audit_log()
        info = await log.find_of_any(turn_id)
        if info is None:
            raise NotFoundError(f"The stream log knows no turn {turn_id!r}.")
        event = AuditEvent(
            kind=AuditKind.TURN_STOPPED,
            actor=self._operator.actor,
            owner=info.owner,
            subject=as_line(turn_id),
            reason=reason,
            details={"thread": info.thread_id},
        )
        await audit.record(event)
        return await log.stop(turn_id, info.owner)

    async def stuck(self) -> AsyncIterator[StuckTurn]:
        """Yields turns that nobody goes on with: their worker is gone, and none has ended them, or begun them."""
        self._look()
        log = self._stream_log()
        after = ""
        while held := await log.survey_turns(_PAGE, after):
            for turn in held:
                why = _why_held(turn)
                if why:
                    left = turn.lease_seconds
                    seconds = None if left is None or left >= 0 else -left
                    yield StuckTurn(turn.info.id, turn.info.thread_id, turn.info.owner, why, seconds)
            after = held[-1].info.id
        if not isinstance(self._store, StoreSurvey):
            return
        last: OpenTurn | None = None
        while open_turns := await self._store.survey_turns(_PAGE, last):
            for turn in open_turns:
                seconds = (utc_now() - turn.lease_until).total_seconds()
                why = "" if seconds <= 0 else await self._why_open(log, turn)
                if why:
                    yield StuckTurn(turn.turn_id, turn.thread_id, turn.owner, why, seconds)
            last = open_turns[-1]

    async def _why_open(self, log: StreamLog, turn: OpenTurn) -> str:
        """Returns why a turn whose lease in the store has run out is not gone on with; empty if it is, elsewhere."""
        if turn.status == "waiting":
            return "It waits in its thread's queue, and its worker is gone."
        if not turn.opened:
            return "It was accepted, and its worker is gone before it began."
        if log.has_backend and await log.find_of_any(turn.turn_id) is not None:
            return ""
        return "The store has not heard of its end, and the stream log does not know it."

    async def usage(self, since: datetime, until: datetime, owner: str | None = None) -> list[UsageTotal]:
        """Returns what calls of models have used, by day, owner, group and model.

        Args:
            since: The first moment that counts.
            until: The first moment after it that does not.
            owner: Whose usage; None for all.
        """
        self._look()
        # UsageKeeper is generic in the context.
        store: object = self._store
        if not isinstance(store, UsageKeeper):
            raise UnsupportedOperationError(
                f"{type(self._store).__name__} keeps no usage: it is no chatkit.store.UsageKeeper."
            )
        keeper = cast("UsageKeeper[Any]", store)
        if owner is None:
            return await keeper.survey_usage(since, until)
        return await keeper.sum_usage(since, until, OwnerContext(owner))

    async def feedback(self, owner: str | None = None) -> AsyncIterator[Rating]:
        """Yields the feedback that is kept with threads, those of the newest threads first.

        Args:
            owner: Whose; None for all.

        Raises:
            UnsupportedOperationError: The store cannot list the threads of all owners.
        """
        self._look()
        async for owned in self._threads_of(owner):
            kept: object = owned.thread.metadata.get(FEEDBACK_FIELD)
            if isinstance(kept, dict):
                for item_id, kind in cast("dict[str, object]", kept).items():
                    # An application may keep more under that name, such as a comment, which is content.
                    if kind in _KINDS:
                        yield Rating(owned.owner, owned.thread.id, item_id, str(kind))

    async def _threads_of(self, owner: str | None) -> AsyncIterator[OwnedThread]:
        store = self._store
        if owner is None:
            last: OwnedThread | None = None
            while found := await store.survey_threads("", _THREADS, last, "desc"):
                for owned in found:
                    yield owned
                last = found[-1]
            return
        after: str | None = None
        while True:
            page = await store.load_threads(_PAGE, after, "desc", OwnerContext(owner))
            for thread in page.data:
                yield OwnedThread(owner, thread)
            after = page.after
            if not page.has_more:
                return

    def _look(self) -> None:
        self._operator.require(None, unexplained=True)

    def _survey(self) -> StoreSurvey:
        self._look()
        if not isinstance(self._store, StoreSurvey):
            raise UnsupportedOperationError(
                f"{type(self._store).__name__} cannot list owners: it is no chatkit.store.StoreSurvey."
            )
        return self._store

    def _stream_log(self) -> StreamLog:
        if self._log is None:
            self._log = self._store.stream_log()
        if self._log is None:
            raise UnsupportedOperationError(
                f"{type(self._store).__name__} brings no stream log: give the one of the server, Admin(store, log)."
            )
        return self._log

    def _audit_log(self) -> AuditLog:
        if self._audit is None:
            self._audit = audit_log_of(self._store)
        if self._audit is None:
            raise ConfigurationError(
                f"{type(self._store).__name__} brings no audit log, without which no content is shown and no turn "
                "stopped: Admin(store, log, audit)."
            )
        return self._audit


def _why_held(turn: HeldTurn) -> str:
    if turn.claimed and turn.lapsed:
        return "Its worker is gone, and so is the one that took it over."
    if turn.claimed:
        return "Its worker is gone, and another one is about to end it, or to run it again."
    if turn.lapsed:
        return "Its worker is gone, and no other one has taken it over."
    return ""
