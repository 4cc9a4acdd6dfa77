"""Keeps threads that the API of another hosted ChatKit shows in a store of one's own, as often as one likes."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, cast

from chatkit.errors import NotFoundError
from chatkit.hosted.context import owner_of, owners_below, parts_of
from chatkit.hosted.imported_items import Losses, read_item, read_thread
from chatkit.limits import DEFAULT_LIMITS
from chatkit.store import OwnerContext, Store
from chatkit.store.lookups import walk_items
from chatkit.types import ThreadItem, ThreadMetadata

__all__ = ["IMPORTED", "Importer", "Outcome", "Tally"]

IMPORTED: Final = "imported"
"""The key of a thread's metadata that says where it came from, and what was brought the last time."""

Outcome: TypeAlias = Literal["new", "changed", "same", "apart"]
"""What became of a thread; ``"apart"``: it went on in both places, and is left as it is here."""

_TICK: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class Tally:
    """What an import has done so far.

    Attributes:
        threads: How many there were of each outcome.
        items: How many were ``"added"``, ``"replaced"``, ``"removed"`` and found the ``"same"``.
        losses: What the source showed and could not be kept.
    """

    threads: Counter[Outcome] = field(default_factory=Counter["Outcome"])
    items: Counter[str] = field(default_factory=Counter[str])
    losses: Losses = field(default_factory=Losses)


class Importer:
    """Keeps threads of a source under the owners that they have here.

    Threads and items keep their ids, times (as of the second) and order. What is here already and equal is left alone,
    what changed at the source is replaced, and what is gone there is removed. A thread with items of its own here keeps
    them: it is never changed but for its title and status.

    Args:
        store: Of the workflow's server; it takes an ``OwnerContext``.
        tenant: Whose the threads become.
        workflow: The workflow whose they become.
        source: The address of the source, to be remembered with the threads.
    """

    def __init__(self, store: Store[Any], tenant: str, workflow: str, source: str) -> None:
        self._store = store
        self._tenant = tenant
        self._workflow = workflow
        self._source = source
        self._newest: datetime | None = None
        self.tally = Tally()

    async def bring(self, entry: Mapping[str, Any], entries: AsyncIterable[Mapping[str, Any]]) -> Outcome:
        """Brings a thread along with its items, and says what became of it.

        An import that ends in the middle of it goes on there when it is run again.

        Args:
            entry: The thread as the API shows it. Threads come in ascending order.
            entries: All its items as the API shows them, in ascending order.

        Raises:
            ValueError: It cannot be read, or is here already as another user's or workflow's.
            StoreError: It cannot be stored.
        """
        thread = read_thread(entry)
        context = OwnerContext(owner_of(self._tenant, _user(entry.get("user")), self._workflow))
        losses = Losses()
        items: dict[str, ThreadItem] = {}
        async for shown in entries:
            item = read_item(shown, thread.id, losses)
            if item is not None:
                items.setdefault(item.id, item)
        outcome = await self._keep(thread, list(items.values()), context)
        self.tally.threads[outcome] += 1
        self.tally.losses += losses
        return outcome

    async def _keep(
        self, thread: ThreadMetadata, items: Sequence[ThreadItem], context: OwnerContext
    ) -> Outcome:
        stored: ThreadMetadata | None = None
        with suppress(NotFoundError):
            stored = await self._store.load_thread(thread.id, context)
        thread.created_at = self._moment(thread.created_at, None if stored is None else stored.created_at)
        if stored is None:
            await self._check_place(thread.id, context)
            thread.metadata = {IMPORTED: self._mark(thread, None)}
            await self._store.save_thread(thread, context)
        mark = _mark_of(thread if stored is None else stored)
        kept = [item async for item in walk_items(self._store, thread.id, "asc", context)]
        done = await self._keep_items(thread.id, kept, items, mark.get("last_item"), context)
        last_item = items[-1].id if items else None
        changed: dict[str, Any] = {}
        if stored is not None:
            # What was changed here since stays, unless the source changed it too.
            for name in ("title", "status"):
                shown = _plain(thread, name)
                if shown != _plain(stored, name) and (not mark or shown != mark.get(name)):
                    changed[name] = getattr(thread, name)
        new_mark = self._mark(thread, mark.get("last_item") if done is None else last_item)
        if changed or mark != new_mark:
            metadata = {**(thread if stored is None else stored).metadata, IMPORTED: new_mark}
            await self._store.save_thread_fields(thread.id, {**changed, "metadata": metadata}, context)
        if stored is None:
            return "new"
        if done is None:
            return "apart"
        return "changed" if changed or done else "same"

    async def _keep_items(
        self,
        thread_id: str,
        kept: Sequence[ThreadItem],
        items: Sequence[ThreadItem],
        last_item: str | None,
        context: OwnerContext,
    ) -> bool | None:
        """Makes the items here those of the source, and returns whether there was something to do.

        Returns None, and does nothing, if both have items that the other one lacks.
        """
        here, there = [item.id for item in kept], [item.id for item in items]
        brought = set(here[: here.index(last_item) + 1]) if last_item in here else set[str]()
        brought.update(there)
        if not brought.issuperset(here):
            # It went on here: nobody's answer is touched.
            return False if [name for name in here if name in brought] == there else None
        common = 0
        while common < min(len(here), len(there)) and here[common] == there[common]:
            common += 1
        # Answered anew at the source, for example.
        for name in reversed(here[common:]):
            await self._store.delete_thread_item(thread_id, name, context)
        self.tally.items["removed"] += len(here) - common
        replaced = 0
        for before, item in zip(kept[:common], items[:common], strict=True):
            if before.model_dump_json() != item.model_dump_json():
                await self._store.save_item(thread_id, item, context)
                replaced += 1
        for item in items[common:]:
            await self._store.add_thread_item(thread_id, item, context)
            self.tally.items["added"] += 1
        self.tally.items["replaced"] += replaced
        self.tally.items["same"] += common - replaced
        return bool(replaced) or common < max(len(here), len(there))

    async def _check_place(self, thread_id: str, context: OwnerContext) -> None:
        """Raises ValueError if the tenant has the thread already, as that of another user or workflow."""
        found = await self._store.survey_threads(
            owners_below(self._tenant), 1, None, "asc", thread_id=thread_id
        )
        parts = parts_of(found[0].owner) if found and found[0].owner != context.owner else None
        if parts is not None:
            raise ValueError(
                f"it is here already, as a thread of the user {parts[1]} in the workflow {parts[2]}"
            )

    def _moment(self, shown: datetime, stored: datetime | None) -> datetime:
        """Returns when a thread was made, such that threads of one second keep their order."""
        if stored is not None and stored.replace(microsecond=0) == shown:
            made = stored
        elif self._newest is not None and self._newest.replace(microsecond=0) == shown:
            made = self._newest + _TICK
        else:
            made = shown
        self._newest = made
        return made

    def _mark(self, thread: ThreadMetadata, last_item: str | None) -> dict[str, Any]:
        return {
            "from": self._source,
            "title": thread.title,
            "status": _plain(thread, "status"),
            "last_item": last_item,
        }


def _mark_of(thread: ThreadMetadata) -> dict[str, Any]:
    mark: object = thread.metadata.get(IMPORTED)
    return cast("dict[str, Any]", mark) if isinstance(mark, dict) else {}


def _plain(thread: ThreadMetadata, name: str) -> Any:
    return thread.model_dump(mode="json", include={name})[name]


def _user(user: object) -> str:
    if not isinstance(user, str) or not user or "\0" in user or len(user) > DEFAULT_LIMITS.name_chars:
        raise ValueError("the name of its user cannot be used here")
    return user
