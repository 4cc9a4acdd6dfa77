"""A person's data in a store of another kind than a database: in memory, or an application's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

from chatkit.errors import NotFoundError
from chatkit.ids import utc_now
from chatkit.personal_data.places import ErasureState, Row, RunningTurn, StorePlace
from chatkit.personal_data.walking import walk_threads
from chatkit.store._usage_rows import values_of
from chatkit.store.base import Store, walk_items

__all__ = ["MemoryPlace", "PortPlace"]


class _Unrecorded(StorePlace):
    """A place that does not keep how far an erasure is: after a kill it begins anew."""

    def __init__(self) -> None:
        self._erasures: dict[str, ErasureState] = {}
        self._owners: dict[str, str] = {}

    async def rows(self, owner: str) -> AsyncIterator[tuple[str, Row]]:
        for nothing in ():
            yield nothing

    async def begin_erasure(
        self, owner: str, erasure_id: str, turn_ids: frozenset[str] = frozenset()
    ) -> ErasureState:
        known = self._erasures.get(self._owners.setdefault(owner, erasure_id))
        state = known or ErasureState(erasure_id, "running", utc_now(), None, {})
        self._erasures[state.id] = state
        return state

    async def find_erasure(
        self, erasure_id: str | None = None, owner: str | None = None
    ) -> ErasureState | None:
        named = self._owners.get(owner or "", "") if erasure_id is None else erasure_id
        return self._erasures.get(named)

    async def last_erasure(self) -> ErasureState | None:
        ended = [state for state in self._erasures.values() if state.state == "ended"]
        return ended[-1] if ended else None

    async def add_counts(self, erasure_id: str, more: Mapping[str, int]) -> None:
        self._add(erasure_id, more)

    def _add(self, erasure_id: str, more: Mapping[str, int]) -> None:
        state = self._erasures[erasure_id]
        names = {*state.counts, *more}
        counts = {name: state.counts.get(name, 0) + more.get(name, 0) for name in names}
        self._erasures[erasure_id] = replace(state, counts=counts)

    async def end_erasure(self, erasure_id: str, state: str, more: Mapping[str, int] | None = None) -> None:
        self._add(erasure_id, more or {})
        ended = self._erasures[erasure_id].ended_at or utc_now()
        self._erasures[erasure_id] = replace(self._erasures[erasure_id], state=state, ended_at=ended)
        for owner in [owner for owner, named in self._owners.items() if named == erasure_id]:
            del self._owners[owner]

    async def clean(self, how: str) -> list[str]:
        return []

    async def running_turns(self, owner: str) -> list[RunningTurn]:
        return []

    async def turn_ids(self, owner: str) -> frozenset[str]:
        """Returns the ids of an owner's turns of the last day."""
        return frozenset()


class MemoryPlace(_Unrecorded):
    """The memory of a store.

    Args:
        store: A ``MemoryStore``.
    """

    kind = "memory"

    def __init__(self, store: Any) -> None:
        super().__init__()
        self._store = store
        self.name = "the memory of this process"

    async def count(self, owner: str) -> dict[str, int]:
        return self._store.forget_owner(owner, only_count=True)

    async def usage(self, owner: str) -> AsyncIterator[Row]:
        for record in self._store.usage_of(owner):
            yield {**values_of(record), "created_at": record.created_at.isoformat()}

    async def attachments(self, owner: str, after: str) -> list[tuple[str, int, str | None]]:
        return [entry for entry in self._store.files_of(owner) if entry[0] > after]

    async def has_attachment_of_others(self, owner: str, attachment_id: str) -> bool:
        return self._store.has_file_of_others(owner, attachment_id)

    async def begin_erasure(
        self, owner: str, erasure_id: str, turn_ids: frozenset[str] = frozenset()
    ) -> ErasureState:
        self._store.refuse(owner)
        return await super().begin_erasure(owner, erasure_id)

    async def erase(self, owner: str, erasure_id: str) -> AsyncIterator[int]:
        found = self._store.forget_owner(owner)
        self._add(erasure_id, found)
        yield sum(found.values())

    async def erase_attachment(self, owner: str, attachment_id: str, erasure_id: str) -> None:
        """Counts a file that is deleted; its record goes with the rest."""
        self._add(erasure_id, {"files": 1})

    async def end_erasure(self, erasure_id: str, state: str, more: Mapping[str, int] | None = None) -> None:
        for owner, named in self._owners.items():
            if named == erasure_id:
                self._store.refuse(owner, refused=False)
        await super().end_erasure(erasure_id, state, more)

    async def running_turns(self, owner: str) -> list[RunningTurn]:
        return [RunningTurn(turn_id, lapsed=False) for turn_id in self._store.running_turns(owner)]


class PortPlace(_Unrecorded):
    """A store of the application's own, of which only what its port says is known: threads, items, attachments.

    Args:
        store: The full store over it.
        context: Makes the context of an owner.
    """

    kind = "application"

    def __init__(self, store: Store[Any], context: Callable[[str], Any]) -> None:
        super().__init__()
        self._store = store
        self._context = context
        self.name = f"the store {type(getattr(store, 'store', store)).__name__}"

    async def count(self, owner: str) -> dict[str, int]:
        threads = 0
        async for _ in walk_threads(self._store, self._context(owner)):
            threads += 1
        return {"threads": threads} if threads else {}

    async def usage(self, owner: str) -> AsyncIterator[Row]:
        """Yields nothing: the port has only sums."""
        for nothing in ():
            yield nothing

    async def attachments(self, owner: str, after: str) -> list[tuple[str, int, str | None]]:
        """Returns the attachments that messages name."""
        found = set[str]()
        context = self._context(owner)
        async for thread in walk_threads(self._store, context):
            try:
                found.update(await self._store.attachment_ids(thread.id, context))
            except NotFoundError:
                continue
        return [(attachment_id, 0, None) for attachment_id in sorted(found) if attachment_id > after]

    async def has_attachment_of_others(self, owner: str, attachment_id: str) -> bool:
        """Returns False: the port shows the attachments of one owner."""
        return False

    async def erase(self, owner: str, erasure_id: str) -> AsyncIterator[int]:
        async for number in _erase_by_thread(self._store, self._context(owner), self._add, erasure_id):
            yield number

    async def erase_attachment(self, owner: str, attachment_id: str, erasure_id: str) -> None:
        """Deletes the record of an attachment whose file is deleted."""
        context = self._context(owner)
        try:
            # Not every store says so when there is none to delete.
            await self._store.load_attachment(attachment_id, context)
            await self._store.delete_attachment(attachment_id, context)
        except NotFoundError:
            return
        self._add(erasure_id, {"attachments": 1, "files": 1})


async def _erase_by_thread(
    store: Store[Any], context: Any, add: Callable[[str, Mapping[str, int]], None], erasure_id: str
) -> AsyncIterator[int]:
    """Deletes an owner's threads one by one through the port of the store; yields after each."""
    while True:
        deleted = 0
        # The first page each time: what is deleted is no cursor.
        for thread in (await store.load_threads(100, None, "desc", context)).data:
            items = 0
            try:
                async for _ in walk_items(store, thread.id, "asc", context):
                    items += 1
                await store.delete_thread(thread.id, context)
            except NotFoundError:
                continue
            add(erasure_id, {"threads": 1, "items": items})
            deleted += 1
            yield items + 1
        if not deleted:
            return
