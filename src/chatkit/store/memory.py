"""A store in memory, for tests and for data that may be lost at a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from chatkit._checks import checked
from chatkit.store import _records as records
from chatkit.store._memory_entries import AttachmentEntry, EntrySequence, ThreadEntry, change_entry
from chatkit.store._memory_journal import MemoryJournal
from chatkit.store._memory_owners import MemoryOwners
from chatkit.store._memory_search import MemorySearch
from chatkit.store._memory_turns import TurnRow, TurnTable
from chatkit.store._memory_usage import MemoryUsage
from chatkit.store.acceptance import (
    Acceptance,
    AcceptedTurn,
    AcceptingStore,
    LapsedTurn,
    ThreadTakenError,
    TurnStatus,
    TurnWrites,
    was_taken_over,
)
from chatkit.store.base import Fence, OwnedThread, owner_from_context

if TYPE_CHECKING:
    from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

__all__ = ["MemoryStore"]

TContext = TypeVar("TContext", default=Any)


@dataclass(slots=True)
class _Tenant:
    threads: EntrySequence[ThreadEntry] = field(default_factory=EntrySequence[ThreadEntry])
    attachments: dict[str, AttachmentEntry] = field(default_factory=dict[str, AttachmentEntry])
    turns: TurnTable = field(default_factory=TurnTable)

    def thread(self, thread_id: str) -> ThreadEntry:
        thread = self.threads.get(thread_id)
        return records.no_thread(thread_id) if thread is None else thread


class MemoryStore(
    MemoryUsage[TContext],
    MemorySearch[TContext],
    MemoryJournal[TContext],
    MemoryOwners[TContext],
    AcceptingStore[TContext],
):
    """Keeps everything in this process, each owner's data apart.

    Objects are kept as JSON, as a database would: what was handed in or out stays the caller's own. One
    instance may be used from several event loops and threads.

    Args:
        owner: Finds the owner in a request context; by default ``context["user_id"]`` or ``context.user_id``.
            For a single user: ``lambda context: "local"``.
    """

    @checked
    def __init__(self, owner: Callable[[TContext], str | None] | None = None) -> None:
        super().__init__()
        self._owner_of = owner
        self._lock = Lock()
        self._tenants: dict[str, _Tenant] = {}
        self._last_token = 0

    def owner(self, context: TContext) -> str:
        return owner_from_context(context, self._owner_of)

    def _tenant(self, owner: str) -> _Tenant:
        # An owner without data gets no entry here: a request that finds nothing must not grow the store.
        return self._tenants.get(owner) or _Tenant()

    def _fenced(self, owner: str) -> _Tenant:
        self.check_erasure(owner)
        tenant = self._tenant(owner)
        fence = records.active_fence()
        if fence is not None and not tenant.turns.is_held(fence):
            records.stale(fence)
        return tenant

    async def load_thread(self, thread_id: str, context: TContext) -> ThreadMetadata:
        owner = self.owner(context)
        with self._lock:
            data = self._tenant(owner).thread(thread_id).data
        return records.load_thread(data)

    async def save_thread(self, thread: ThreadMetadata, context: TContext) -> None:
        data = records.dump_thread(thread)
        owner = self.owner(context)
        with self._lock:
            tenant = self._fenced(owner)
            present = tenant.threads.get(thread.id)
            if present is None:
                tenant.threads.put(thread.id, ThreadEntry(data))
                self._tenants[owner] = tenant
            else:
                present.data = data

    async def save_thread_fields(
        self, thread_id: str, changed: Mapping[str, Any], context: TContext
    ) -> ThreadMetadata:
        owner = self.owner(context)
        with self._lock:
            present = self._fenced(owner).thread(thread_id)
            data = present.data = records.dump_thread(records.changed_thread(present.data, changed))
        return records.load_thread(data)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: TContext
    ) -> Page[ThreadMetadata]:
        ascending = records.validate_page_request(limit, order) == "asc"
        owner = self.owner(context)
        with self._lock:
            threads = self._tenant(owner).threads
            if after is not None and after not in threads:
                records.no_thread(after)
            found = [thread.data for thread in threads.page(after, limit + 1, ascending=ascending)]
        return records.page_of([records.load_thread(data) for data in found], limit, after)

    async def survey_threads(
        self, prefix: str, limit: int, after: OwnedThread | None, order: str, *, thread_id: str | None = None
    ) -> list[OwnedThread]:
        descending = records.validate_page_request(limit, order) == "desc"
        with self._lock:
            rows = [
                (owner, row.data)
                for owner, tenant in self._tenants.items()
                if owner.startswith(prefix)
                for row in (
                    tenant.threads.page(None, len(tenant.threads), ascending=True)
                    if thread_id is None
                    else [tenant.threads.get(thread_id)]
                )
                if row is not None
            ]
        found = [OwnedThread(owner, records.load_thread(data)) for owner, data in rows]
        found.sort(key=_place, reverse=descending)
        if after is not None:
            found = [
                entry
                for entry in found
                if (_place(entry) < _place(after) if descending else _place(entry) > _place(after))
            ]
        return found[:limit]

    async def delete_thread(self, thread_id: str, context: TContext) -> None:
        owner = self.owner(context)
        with self._lock:
            tenant = self._fenced(owner)
            tenant.thread(thread_id)
            tenant.threads.remove(thread_id)
            tenant.attachments = {
                key: kept for key, kept in tenant.attachments.items() if kept.thread_id != thread_id
            }
            # A turn that still runs must not bring the thread back.
            tenant.turns.end_thread(thread_id)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: TContext
    ) -> Page[ThreadItem]:
        ascending = records.validate_page_request(limit, order) == "asc"
        owner = self.owner(context)
        with self._lock:
            items = self._tenant(owner).thread(thread_id).items
            if after is not None and after not in items:
                records.no_item(thread_id, after)
            found = items.page(after, limit + 1, ascending=ascending)
        return records.page_of([records.load_item(data) for data in found], limit, after)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        data = records.dump_model(item)
        owner = self.owner(context)
        with self._lock:
            items = self._fenced(owner).thread(thread_id).items
            if item.id in items:
                records.item_exists(thread_id, item.id)
            items.put(item.id, data)

    async def save_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        data = records.dump_model(item)
        owner = self.owner(context)
        with self._lock:
            self._fenced(owner).thread(thread_id).items.put(item.id, data)

    async def put_thread_item(self, thread_id: str, item: ThreadItem, context: TContext) -> None:
        await self.save_item(thread_id, item, context)

    async def save_item_if_unchanged(
        self, thread_id: str, before: ThreadItem, after: ThreadItem, context: TContext
    ) -> None:
        owner = self.owner(context)
        with self._lock:
            change_entry(self._fenced(owner).thread(thread_id).items, thread_id, before, after)

    async def load_item(self, thread_id: str, item_id: str, context: TContext) -> ThreadItem:
        owner = self.owner(context)
        with self._lock:
            data = self._tenant(owner).thread(thread_id).items.get(item_id)
        return records.no_item(thread_id, item_id) if data is None else records.load_item(data)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: TContext) -> None:
        owner = self.owner(context)
        with self._lock:
            self._fenced(owner).thread(thread_id).items.remove(item_id)

    async def delete_items_after(self, thread_id: str, item_id: str, context: TContext) -> None:
        owner = self.owner(context)
        with self._lock:
            items = self._fenced(owner).thread(thread_id).items
            if item_id not in items:
                records.no_item(thread_id, item_id)
            items.truncate_after(item_id)

    async def save_attachment(self, attachment: Attachment, context: TContext) -> None:
        data = records.dump_model(attachment)
        owner = self.owner(context)
        with self._lock:
            tenant = self._fenced(owner)
            known = tenant.attachments.get(attachment.id) or AttachmentEntry(data, None, time.time())
            tenant.attachments[attachment.id] = replace(known, data=data, thread_id=attachment.thread_id)
            self._tenants[owner] = tenant

    async def load_attachment(self, attachment_id: str, context: TContext) -> Attachment:
        owner = self.owner(context)
        with self._lock:
            kept = self._tenant(owner).attachments.get(attachment_id)
        return records.no_attachment(attachment_id) if kept is None else records.load_attachment(kept.data)

    async def delete_attachment(self, attachment_id: str, context: TContext) -> None:
        owner = self.owner(context)
        with self._lock:
            self._fenced(owner).attachments.pop(attachment_id, None)

    async def sweep_attachments(self, seconds: float) -> int:
        with self._lock:
            doomed = self._unclaimed(seconds)
            for owner, attachment_id in doomed:
                del self._tenants[owner].attachments[attachment_id]
        return len(doomed)

    async def unclaimed_attachments(self, seconds: float) -> list[tuple[str, str]]:
        with self._lock:
            return self._unclaimed(seconds)

    def _unclaimed(self, seconds: float) -> list[tuple[str, str]]:
        before = time.time() - seconds
        return [
            (owner, key)
            for owner, tenant in self._tenants.items()
            for key, kept in tenant.attachments.items()
            if kept.thread_id is None and kept.created_at <= before
        ]

    async def attachment_ids(self, thread_id: str, context: TContext) -> list[str]:
        owner = self.owner(context)
        # A message that was deleted, to answer another one again, leaves the record.
        named = await super().attachment_ids(thread_id, context)
        with self._lock:
            kept = self._tenant(owner).attachments
            return list(dict.fromkeys([*named, *(key for key in kept if kept[key].thread_id == thread_id)]))

    async def accept_turn(self, acceptance: Acceptance, context: TContext) -> AcceptedTurn:
        owner, writes, thread_id = self.owner(context), acceptance.writes, acceptance.thread_id
        documents = records.documents_of(acceptance)
        with self._lock:
            self.check_erasure(owner)
            tenant = self._tenants.setdefault(owner, _Tenant())
            known = tenant.turns.keyed(acceptance.key)
            if known is not None and not tenant.turns.gives_way(
                known, acceptance, lambda: tenant.thread(thread_id).newest_message()
            ):
                return known.shown()
            if tenant.turns.get(acceptance.turn_id) is not None:
                raise was_taken_over(acceptance.turn_id)
            others = tenant.turns.others(acceptance)
            if others and acceptance.policy == "reject":
                raise ThreadTakenError(others)
            if known is not None:
                tenant.turns.remove(known)
            # What may fail comes first: nothing undoes the rest.
            if documents.thread is not None:
                if thread_id in tenant.threads:
                    records.thread_exists(thread_id)
                tenant.threads.put(thread_id, ThreadEntry(documents.thread))
            items = tenant.thread(thread_id).items if thread_id else EntrySequence[str]()
            waits = bool(others) and acceptance.policy == "enqueue"
            if writes.change is not None:
                change_entry(items, thread_id, writes.change.before, writes.change.after)
            if writes.delete_after is not None:
                if writes.delete_after not in items:
                    records.no_item(thread_id, writes.delete_after)
                items.truncate_after(writes.delete_after)
            if writes.message is not None and not waits:
                if writes.message.id in items:
                    records.item_exists(thread_id, writes.message.id)
                items.put(writes.message.id, str(documents.message))
            for attachment_id, data in documents.attachments:
                known_file = tenant.attachments.get(attachment_id) or AttachmentEntry(data, None, time.time())
                tenant.attachments[attachment_id] = replace(known_file, data=data, thread_id=thread_id)
            self._last_token += 1
            row = TurnRow(
                replace(acceptance, writes=TurnWrites()),
                TurnStatus.WAITING if waits else TurnStatus.BEGUN,
                self._last_token,
                time.monotonic() + acceptance.lease,
                message=documents.message or "" if waits else "",
            )
            tenant.turns.add(row)
            return row.shown(fresh=True, others=others if waits else ())

    async def resolve_turn(self, turn_id: str, thread_id: str, context: TContext) -> AcceptedTurn | None:
        found = await self.find_turn(turn_id, context)
        if found is None:
            # Its call was cancelled, and may be carried out yet in another thread.
            await self.end_turn(turn_id, await self.begin_turn(thread_id, turn_id, context), context)
        return None if found is None or found.claimed else found

    async def find_turn(self, turn_id: str, context: TContext) -> AcceptedTurn | None:
        owner = self.owner(context)
        with self._lock:
            row = self._tenant(owner).turns.get(turn_id)
            return None if row is None else row.shown()

    async def turns_beside(
        self, thread_id: str, turn_id: str, since: datetime | None, context: TContext
    ) -> list[str]:
        owner = self.owner(context)
        with self._lock:
            return self._tenant(owner).turns.beside(thread_id, turn_id, since)

    async def find_keyed_turn(self, key: str, context: TContext) -> AcceptedTurn | None:
        owner = self.owner(context)
        with self._lock:
            row = self._tenant(owner).turns.keyed(key)
            return None if row is None else row.shown()

    async def begin_waiting_turn(
        self, turn_id: str, token: int, context: TContext, *, at_once: bool = False
    ) -> tuple[str, ...]:
        owner = self.owner(context)
        with self._lock:
            tenant = self._tenant(owner)
            row = tenant.turns.held(turn_id, token)
            if row.status is TurnStatus.BEGUN:
                return ()
            others = () if at_once else tenant.turns.others(row.acceptance)
            if not others:
                items = tenant.thread(row.acceptance.thread_id).items
                if row.message:
                    items.put(str(row.acceptance.user_item_id), row.message)
                row.status, row.message = TurnStatus.BEGUN, ""
            return others

    async def open_turn(self, turn_id: str, token: int, context: TContext) -> None:
        owner = self.owner(context)
        with self._lock:
            self._tenant(owner).turns.held(turn_id, token).opened = True

    async def renew_turns(self, held: Sequence[tuple[str, Fence]], lease: float) -> None:
        with self._lock:
            for owner, fence in held:
                self._tenant(owner).turns.renew(fence, lease)

    async def claim_turn(self, turn: AcceptedTurn, lease: float, context: TContext) -> AcceptedTurn | None:
        owner = self.owner(context)
        with self._lock:
            row = self._tenant(owner).turns.get(turn.turn_id)
            if row is None or not row.shown().lapsed or row.end:
                return None
            if row.token != turn.token or row.opened != turn.opened:
                return None
            self._last_token += 1
            row.token, row.claimed, row.lease_until = self._last_token, True, time.monotonic() + lease
            return row.shown(fresh=True)

    async def withdraw_turn(self, acceptance: Acceptance, token: int, context: TContext) -> bool:
        owner, writes, thread_id = self.owner(context), acceptance.writes, acceptance.thread_id
        with self._lock:
            tenant = self._tenant(owner)
            row = tenant.turns.get(acceptance.turn_id)
            if row is None or row.token != token or row.status is TurnStatus.ENDED:
                return False
            if acceptance.replaces is not None:
                row.opened = False
                return tenant.turns.finish(acceptance.turn_id, token, "interrupted", "")
            tenant.turns.remove(row)
            if writes.created_thread is not None:
                tenant.threads.remove(thread_id)
            elif (thread := tenant.threads.get(thread_id)) is not None:
                if writes.message is not None:
                    thread.items.remove(writes.message.id)
                if writes.change is not None:
                    change_entry(thread.items, thread_id, writes.change.after, writes.change.before)
            return True

    async def finish_turn(
        self, turn_id: str, token: int, end: str, context: TContext, *, info: str = ""
    ) -> bool:
        owner = self.owner(context)
        with self._lock:
            return self._tenant(owner).turns.finish(turn_id, token, end, info)

    async def lapsed_turns(self, seconds: float) -> list[LapsedTurn]:
        with self._lock:
            return [
                LapsedTurn(owner, row.shown())
                for owner, tenant in self._tenants.items()
                for row in tenant.turns.lapsed(seconds)
            ]

    async def begin_turn(self, thread_id: str, turn_id: str, context: TContext) -> int:
        owner = self.owner(context)
        with self._lock:
            tenant = self._tenants.setdefault(owner, _Tenant())
            self._last_token += 1
            row = tenant.turns.get(turn_id)
            if row is None:
                registered = Acceptance(turn_id, thread_id, 0.0)
                row = TurnRow(registered, TurnStatus.BEGUN, self._last_token, time.monotonic(), opened=True)
                tenant.turns.add(row)
            elif row.status is TurnStatus.ENDED:
                raise was_taken_over(turn_id)
            row.token, row.claimed = self._last_token, True
            return self._last_token

    async def has_completed(self, turn_id: str, context: TContext) -> bool:
        owner = self.owner(context)
        with self._lock:
            row = self._tenant(owner).turns.get(turn_id)
            return row is not None and row.end == "completed"


def _place(entry: OwnedThread) -> tuple[datetime, str]:
    return entry.thread.created_at, entry.thread.id
