"""One erasure, step by step: a process that is killed between any two of them leaves it to the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from chatkit.audit import AuditKind
from chatkit.counters.base import MemoryCounter
from chatkit.errors import ChatKitError, NotFoundError, StoreUnavailableError
from chatkit.ids import new_id, utc_now
from chatkit.personal_data.counted import owner_of_count, session_of_count
from chatkit.personal_data.places import ErasureState, Place
from chatkit.personal_data.receipts import Receipt, out_of_reach
from chatkit.personal_data.walking import deletes_in_its_own_way, walk_threads
from chatkit.store._admission import LOOK_SECONDS
from chatkit.store.base import WALK_PAGE, walk_items
from chatkit.store.search import can_search
from chatkit.streams.backend import Standing
from chatkit.streams.records import ThreadKey

if TYPE_CHECKING:
    from chatkit.personal_data.data import PersonalData

__all__ = ["Erasure", "receipt_of"]

KNOWN_SECONDS: Final = 2 * LOOK_SECONDS
"""Time after which every worker has heard that requests of the owner are refused."""
_PAUSE_SECONDS: Final = 0.25
_ALIVE: Final = {Standing.RUNNING, Standing.CLAIMED}


@runtime_checkable
class SessionMemory(Protocol):
    """A table of sessions in this process."""

    def forget_owner(self, owner: str) -> list[str]:
        """Forgets the sessions of an owner, and returns their ids."""
        ...


class Erasure:
    """An erasure.

    Args:
        data: Where data is kept.
        owner: Whose is erased.
        reason: Why.
        vacuum: How databases overwrite what was deleted.
        patience: Seconds for running turns to end.

    Attributes:
        id: Of the erasure.
        receipt: What was erased, after the last step.
    """

    receipt: Receipt

    def __init__(self, data: PersonalData, owner: str, reason: str, vacuum: str, patience: float) -> None:
        self._data = data
        self._owner = owner
        self._reason = reason
        self._vacuum = vacuum
        self._patience = patience
        self.id = ""
        self._ids: dict[str, str] = {}

    async def steps(self) -> AsyncGenerator[str]:
        """Erases; yields the name of each step that is done."""
        data, main, owner = self._data, self._data.main, self._owner
        whose = owner
        state = await main.find_erasure(owner=owner)
        if state is None and not await data.count(owner):
            # Nothing is left but what an erasure that was cut off had still to overwrite.
            state = await main.find_erasure()
            if state is None:
                raise NotFoundError(f"Nothing is kept of {owner!r}.{await self._last()}")
            self.id = state.id
            # That is not kept: it may have been another one's.
            whose = ""
        else:
            state = await main.begin_erasure(owner, new_id("erasure"))
            self.id = state.id
            yield "refused"
            # With the pseudonym, whose key goes with the rest.
            await data.record(AuditKind.DATA_ERASED, owner, self._reason, self.id, state="begun")
            if main.kind in {"sqlite", "postgres"}:
                await asyncio.sleep(KNOWN_SECONDS)
            await self._stop_turns()
            yield "stopped"
            async for _ in self._erase_files():
                yield "file"
            async for place in self._erase_places():
                yield place
        problems: list[str] = []
        if self._vacuum != "none" and can_search(data.store):
            try:
                await data.store.purge_index()
            except ChatKitError as error:
                problems.append(f"The search index still has words of what was deleted: {error}")
        for place in data.places:
            if place is not main:
                await place.end_erasure(self._ids.get(place.name, self.id), "ended")
            problems += await place.clean(self._vacuum)
            yield "cleaned"
        # What the database could not overwrite is for the next call.
        reached = "cleaning" if problems and self._vacuum != "none" else "ended"
        await main.end_erasure(self.id, reached)
        found = await main.find_erasure(self.id) or state
        await data.record(
            AuditKind.DATA_ERASED, None, self._reason, self.id, state=reached, erased=dict(found.counts)
        )
        yield "ended"
        if main.kind == "sqlite":
            # The mark of that as well is to be in the file, not in the log.
            problems += await main.clean("log")
        self.receipt = receipt_of(data, found, whose, self._reason, problems)

    async def _last(self) -> str:
        last = await self._data.main.last_erasure()
        if last is None or last.ended_at is None:
            return ""
        when = f"{last.ended_at:%Y-%m-%d %H:%M} UTC"
        return f" The last erasure, {last.id}, ended at {when}; whose it was is not kept."

    # Turns.

    async def _stop_turns(self) -> None:
        """Stops the owner's turns in all workers, and waits for them; those whose worker is dead are over."""
        log, until = self._data.log, time.monotonic() + self._patience
        backend = log.make_backend() if log is not None and log.has_backend else None
        try:
            while running := await self._running(backend):
                if time.monotonic() > until:
                    raise StoreUnavailableError(
                        f"{len(running)} turns of {self._owner!r} did not end within {self._patience:g} s: "
                        f"{', '.join(sorted(running)[:5])}. Nothing was erased so far, and the owner stays refused. "
                        "End the workers that run them, then erase again."
                    )
                if log is not None:
                    stops = [asyncio.ensure_future(log.stop(turn_id, self._owner)) for turn_id in running]
                    _, waiting = await asyncio.wait(stops, timeout=4 * _PAUSE_SECONDS)
                    for stop in waiting:
                        stop.cancel()
                    await asyncio.gather(*stops, return_exceptions=True)
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            if backend is not None:
                await backend.close()

    async def _running(self, backend: Any) -> set[str]:
        """Returns the turns that a worker which lives is at, or may be."""
        data = self._data
        found = [turn for place in data.places for turn in await place.running_turns(self._owner)]
        alive = {turn.turn_id for turn in found if not turn.lapsed}
        if not data.log_is_known and data.log is not None:
            async for thread in walk_threads(data.store, data.context(self._owner)):
                alive |= {info.id for info in await data.log.active(ThreadKey(self._owner, thread.id))}
        if backend is not None and found:
            ids = list({turn.turn_id for turn in found})
            standings = await backend.standings(ids)
            alive |= {turn_id for turn_id, standing in standings.items() if standing in _ALIVE}
            ended = {turn_id for turn_id, standing in standings.items() if standing is Standing.DEAD}
            alive -= ended
        return alive

    # Files and rows.

    async def _erase_files(self) -> AsyncIterator[str]:
        data, main, owner = self._data, self._data.main, self._owner
        context, after = data.context(owner), ""
        while page := await main.attachments(owner, after):
            ids = [entry[0] for entry in page]
            if data.managed_files is not None:
                await data.managed_files.abort_uploads(ids)
            for attachment_id in ids:
                await data.delete_file(attachment_id, context)
                await main.erase_attachment(owner, attachment_id, self.id)
                yield attachment_id
            after = ids[-1]

    async def _erase_places(self) -> AsyncIterator[str]:
        data, main, owner = self._data, self._data.main, self._owner
        others: list[tuple[Place, str]] = []
        turn_ids = await main.turn_ids(owner)
        for place in data.places[1:]:
            begun = await place.begin_erasure(owner, self.id, turn_ids)
            others.append((place, begun.id))
            self._ids[place.name] = begun.id
            async for _ in place.erase(owner, begun.id):
                yield place.kind
        if not data.log_is_known:
            await self._forget_in_log()
        if deletes_in_its_own_way(data.store):
            async for _ in self._delete_threads():
                yield "thread"
        async for _ in main.erase(owner, self.id):
            yield main.kind
        more: dict[str, int] = {}
        for place, place_id in others:
            # Once more, for what was let in just before it was refused.
            async for _ in place.erase(owner, place_id):
                yield place.kind
            for name, number in (await place.begin_erasure(owner, place_id, turn_ids)).counts.items():
                more[name] = more.get(name, 0) + number
        if data.audit is not None:
            # Where it is in a database of its own; else it has gone by now.
            more["audit_keys"] = more.get("audit_keys", 0) + await data.audit.destroy_key(owner)
        if data.log is not None:
            data.log.forget_owner(owner)
        for name, number in self._forget_in_memory().items():
            more[name] = more.get(name, 0) + number
        await main.end_erasure(self.id, "cleaning", more)
        yield "erased"

    def _forget_in_memory(self) -> dict[str, int]:
        """Has tables of sessions and counters in this process forget the owner."""
        owner, found = self._owner, dict[str, int]()
        sessions = [part for part in self._data.beside if isinstance(part, SessionMemory)]
        ids = {session_id for part in sessions for session_id in part.forget_owner(owner)}
        if ids:
            found["hosted_sessions"] = len(ids)
        counters = [part for part in self._data.beside if isinstance(part, MemoryCounter)]
        counted = sum(
            part.forget(lambda key: owner_of_count(key) == owner or session_of_count(key) in ids)
            for part in counters
        )
        return found | ({"counts": counted} if counted else {})

    async def _delete_threads(self) -> AsyncIterator[str]:
        """Deletes the threads as an application's class does, which may do more than ours."""
        store, main, context = self._data.store, self._data.main, self._data.context(self._owner)
        while page := (await store.load_threads(WALK_PAGE, None, "desc", context)).data:
            for thread in page:
                items = [item.id async for item in walk_items(store, thread.id, "asc", context)]
                await store.delete_thread(thread.id, context)
                await main.add_counts(self.id, {"threads": 1, "items": len(items)})
                yield thread.id

    async def _forget_in_log(self) -> None:
        """Has a log forget the turns of the owner's threads: its memory, or what an application keeps them in."""
        log = self._data.log
        async for thread in walk_threads(self._data.store, self._data.context(self._owner)):
            if log is not None:
                await log.forget_thread(ThreadKey(self._owner, thread.id))


def receipt_of(
    data: PersonalData, state: ErasureState, owner: str, reason: str = "", problems: Sequence[str] = ()
) -> Receipt:
    """Returns the receipt of an erasure.

    Args:
        data: Where it was.
        state: The erasure.
        owner: Whose data it was; empty where nobody knows any more.
        reason: Why.
        problems: What could not be done.
    """
    found = list(problems)
    if data.files is not None and data.managed_files is None:
        kind = type(getattr(data.files, "files", data.files)).__name__
        found.append(f"Whether {kind} has deleted all bytes of files is for the application to see.")
    kinds = {place.kind for place in data.places}
    if data.managed_files is not None:
        kinds.add("bucket" if hasattr(data.managed_files, "bucket") else "folder")
    return Receipt(
        id=state.id,
        owner=owner,
        reason=reason or None,
        begun_at=state.begun_at,
        ended_at=state.ended_at or utc_now(),
        erased=state.counts,
        places=[place.name for place in data.places],
        problems=list(dict.fromkeys(found)),
        out_of_reach=out_of_reach(kinds),
    )
