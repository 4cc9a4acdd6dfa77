"""What the parts of the store contract share."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from chatkit.errors import ChatKitError, NotFoundError
from chatkit.store.base import Fence, Store, current_fence
from chatkit.types import ThreadItem, ThreadMetadata

__all__ = [
    "Scenario",
    "StoreContractBase",
    "all_ids",
    "all_raise",
    "raises",
    "raises_not_found",
    "writing_as",
]

TError = TypeVar("TError", bound=Exception)
Scenario = Callable[[Store[Any]], Awaitable[None]]


async def raises(error: type[TError], attempt: Awaitable[object]) -> TError:
    """Fails unless awaiting the attempt raises the error, and returns it."""
    try:
        result = await attempt
    except error as raised:
        return raised
    raise AssertionError(f"expected {error.__name__}, got the result {result!r}")


async def raises_not_found(attempt: Awaitable[object]) -> None:
    """Fails unless awaiting the attempt raises ``NotFoundError``."""
    await raises(NotFoundError, attempt)


async def all_raise(error: type[ChatKitError], attempts: Iterable[Awaitable[object]]) -> None:
    """Fails unless awaiting each of the attempts raises the error."""
    pending = list(attempts)
    try:
        for attempt in pending:
            await raises(error, attempt)
    finally:
        # After a failure, or Python warns of those that were never awaited.
        for attempt in pending:
            if inspect.iscoroutine(attempt):
                attempt.close()


async def all_ids(store: Store[Any], thread_id: str, context: Any) -> list[str]:
    """Returns the ids of a thread's items, oldest first."""
    page = await store.load_thread_items(thread_id, None, 9999, "asc", context)
    assert not page.has_more
    return [item.id for item in page.data]


@contextmanager
def writing_as(turn_id: str, token: int) -> Generator[None]:
    """Makes the writes inside those of a turn."""
    before = current_fence.set(Fence(turn_id, token))
    try:
        yield
    finally:
        current_fence.reset(before)


class StoreContractBase:
    """What a test class overrides: ``make_store``, and if need be ``make_context`` and the attributes.

    Attributes:
        isolates_owners: Keeps the data of owners apart, and refuses a context without an owner.
        stores_attachments: Keeps records of attachments.
        sweeps_attachments: Implements ``sweep_attachments`` and ``unclaimed_attachments``.
        fences_turns: Implements ``begin_turn``, ``end_turn``, ``complete_turn`` and ``has_completed``, and
            refuses the writes of a stale turn.
        accepts_turns: Is an :class:`chatkit.store.AcceptingStore`; False by default.
        surveys_threads: Implements ``survey_threads``; False by default.
        keeps_usage: Is a :class:`chatkit.store.UsageKeeper`; False by default.
        keeps_journals: Is a :class:`chatkit.store.JournalKeeper`; False by default.
        bounds_files: Is a :class:`chatkit.store.BoundedFiles`; False by default.
        searches_threads: Is a :class:`chatkit.store.ThreadSearch`; False by default.
        reports_missing_threads: Raises ``NotFoundError`` for items of a thread that does not exist, read or
            written, and for its deletion. (Loading such a thread raises it in any case.)
        reports_missing_cursors: Raises ``NotFoundError`` for a page behind an id that does not exist.
        rejects_duplicate_ids: ``add_thread_item`` refuses an id that the thread has already.
        orders_by_creation: Lists threads by the order in which they were saved first.
        stamps_updated_at: Sets a thread's ``updated_at`` on what it saves.
        keeps_thread_details: Keeps a thread's status, metadata and allowed image domains, not only the title.
        changes_atomically: ``save_thread_fields`` and ``save_item_if_unchanged`` lose nothing that others write at the
            same time.
        copies_objects: Objects handed in or out may be changed by the caller without changing what is stored.
        survives_event_loops: One store may be used from one event loop after another.
    """

    isolates_owners: ClassVar[bool] = True
    stores_attachments: ClassVar[bool] = True
    sweeps_attachments: ClassVar[bool] = True
    fences_turns: ClassVar[bool] = True
    accepts_turns: ClassVar[bool] = False
    surveys_threads: ClassVar[bool] = False
    keeps_usage: ClassVar[bool] = False
    keeps_journals: ClassVar[bool] = False
    bounds_files: ClassVar[bool] = False
    searches_threads: ClassVar[bool] = False
    reports_missing_threads: ClassVar[bool] = True
    reports_missing_cursors: ClassVar[bool] = True
    rejects_duplicate_ids: ClassVar[bool] = True
    orders_by_creation: ClassVar[bool] = True
    stamps_updated_at: ClassVar[bool] = True
    keeps_thread_details: ClassVar[bool] = True
    changes_atomically: ClassVar[bool] = True
    copies_objects: ClassVar[bool] = True
    survives_event_loops: ClassVar[bool] = True

    def make_store(self) -> Store[Any]:
        """Returns a new, empty store. Called once per test, inside an event loop."""
        raise NotImplementedError("Override make_store() to return a new, empty store.")

    def make_context(self, owner: str) -> Any:
        """Returns a request context of the owner."""
        return {"user_id": owner}

    def run(self, scenario: Scenario) -> None:
        """Runs a scenario with a new store, and closes the store."""

        async def main() -> None:
            store = self.make_store()
            try:
                await scenario(store)
            finally:
                await store.close()

        asyncio.run(main())

    @property
    def alice(self) -> Any:
        """A request context of the first owner."""
        return self.make_context("alice")

    @property
    def bob(self) -> Any:
        """A request context of the second owner."""
        return self.make_context("bob")

    async def thread(self, store: Store[Any], items: list[ThreadItem] | None = None) -> ThreadMetadata:
        """Returns a new thread of the first owner that has the items."""
        thread = ThreadMetadata(id=store.generate_thread_id(self.alice))
        await store.save_thread(thread, self.alice)
        for item in items or []:
            await store.add_thread_item(thread.id, item, self.alice)
        return thread

    def need(self, capability: str) -> None:
        """Skips the running test if the store lacks the capability."""
        if not getattr(self, capability):
            # pytest is no dependency of the package: only a run of the suite needs it.
            import pytest

            pytest.skip(f"{capability} is False for this store")
