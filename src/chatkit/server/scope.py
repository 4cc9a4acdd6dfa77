"""RequestScope: what a request is carried out with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter, accepting_store
from chatkit.quotas import BUDGETS, used
from chatkit.server.handlers import Handlers
from chatkit.server.turns.budgets import check_budgets
from chatkit.server.turns.places import TurnPlace
from chatkit.server.turns.registry import TurnRegistry
from chatkit.store.base import OwnerContext, plain_metadata
from chatkit.streams.base import ThreadKey
from chatkit.types import (
    ChatKitReq,
    ThreadMetadata,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsRetryAfterItemReq,
)

if TYPE_CHECKING:
    from chatkit.audit import Auditing
    from chatkit.counters import Counter
    from chatkit.files.base import AttachmentStore
    from chatkit.files.limits import FileLimits
    from chatkit.limits import Limits
    from chatkit.quotas import Use
    from chatkit.store.acceptance import AcceptingStore
    from chatkit.store.base import Store
    from chatkit.usage import ModelPrice

__all__ = ["RequestScope"]

_MESSAGES: Final = (ThreadsCreateReq, ThreadsAddUserMessageReq, ThreadsRetryAfterItemReq)
"""What counts as a message of a user."""


@dataclass(frozen=True, slots=True)
class RequestScope:
    """What a request is carried out with; ``process()`` makes one for each.

    Attributes:
        application: The handlers and options of the application.
        store: The full store.
        files: Keeps attachments; None if the server takes none.
        file_limits: What files are taken; None takes any.
        limits: Bounds on requests and on running turns.
        context: The request's context.
        owner: Whose turns, locks and idempotency keys are the request's.
        turns: The turns of the server.
        counter: Counts what the quotas bound; None without quotas.
        request: The request; None for an upload, and for a turn that runs again.
        place: The place of its turn among those that run at once; None where any number may.
        price_of: Returns the price of a model, None if it has none.
        auditing: Records what is deleted; None if nothing does.
    """

    application: Handlers[Any]
    store: Store[Any]
    files: AttachmentStore[Any] | None
    file_limits: FileLimits | None
    limits: Limits
    context: Any
    owner: str | None
    turns: TurnRegistry
    counter: Counter | None = None
    request: ChatKitReq | None = None
    place: TurnPlace | None = None
    price_of: Callable[[str], ModelPrice | None] = lambda _: None
    auditing: Auditing | None = None

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The metadata of the request."""
        return {} if self.request is None else self.request.metadata

    @property
    def resumable(self) -> bool:
        """Whether the turn of the request survives a disconnect."""
        return self.metadata.get("resumable") is True

    @property
    def accepting(self) -> AcceptingStore[Any] | None:
        """What accepts turns in one transaction, with their message and key; None where the store cannot."""
        return accepting_store(self.store)

    @property
    def store_lacks_owners(self) -> bool:
        """Whether the store is an application's own that does not separate owners as ours do."""
        return isinstance(self.store, OpenAIStoreAdapter) and not self.store.knows_owners

    @asynccontextmanager
    async def use(self, uses: Mapping[Use, int]) -> AsyncGenerator[None]:
        """Counts what is used, and gives it back where the block raises an error.

        Raises:
            QuotaExceededError: A quota has not as much left.
            StoreUnavailableError: The counter cannot be reached.
        """
        if self.counter is None:
            yield
            return
        async with used(self.limits.quotas, self.counter, uses, self.quota_owners()):
            yield

    def with_place(self) -> RequestScope:
        """Returns the same with a place for its turn, where there is a quota of them."""
        quotas = self.limits.quotas
        if self.counter is None or all(quota.what != "running_turns" for quota in quotas):
            return self
        return replace(self, place=TurnPlace(quotas, self.counter, self.quota_owners))

    def quota_owners(self) -> dict[str, str | None]:
        """Returns whose quotas bound the request, by the names that ``Quota.by`` has."""
        return {"owner": self.owner or "", "group": self.group()}

    def group(self) -> str | None:
        """Returns the owner's group; None for none, and in work without a request, whose context is none of theirs."""
        context = self.context
        return None if isinstance(context, OwnerContext) else self.application.quota_group(context)

    @asynccontextmanager
    async def use_turn(self, *, again: bool = False) -> AsyncGenerator[None]:
        """Counts the turn of a request, unless it cannot begin.

        Args:
            again: Whether the request was counted before.

        Raises:
            TooManyTurnsError: As many of the owner's turns run here, or over all workers, as may.
            QuotaExceededError: The owner, or its group, has sent as many messages as it may, or nothing is left of a
                budget.
        """
        self.turns.check_room(self)
        if self.counter is not None and not again and any(q.what in BUDGETS for q in self.limits.quotas):
            await check_budgets(self.limits.quotas, self.counter, self.quota_owners())
        async with (
            self._placed(),
            self.use({"messages": int(isinstance(self.request, _MESSAGES) and not again)}),
        ):
            yield

    @asynccontextmanager
    async def _placed(self) -> AsyncGenerator[None]:
        """Takes the place of the turn, which leaves it at its end, or here if it does not begin."""
        if self.place is None:
            yield
            return
        more = 0
        thread_id = getattr(getattr(self.request, "params", None), "thread_id", None)
        if thread_id is not None and self.application.concurrency == "interrupt":
            # The one that ends for this one makes room for it.
            more = int(await self.turns.active_turn(self.thread_key(thread_id)) is not None)
        await self.place.take(more=more)
        try:
            yield
        except BaseException:
            await self.place.leave()
            raise

    async def keep_place(self) -> None:
        """Takes the place of a turn that was let in before, by another worker perhaps."""
        if self.place is not None:
            await self.place.keep()

    async def leave_place(self) -> None:
        """Gives the place of the turn back."""
        if self.place is not None:
            await self.place.leave()

    def thread_key(self, thread_id: str) -> ThreadKey:
        """Returns the key of one of the owner's threads."""
        return ThreadKey(self.owner, thread_id)

    async def load_thread(self, thread_id: str) -> ThreadMetadata:
        """Returns a copy of a thread, without items.

        Raises:
            NotFoundError: There is none.
        """
        return plain_metadata(await self.store.load_thread(thread_id, self.context))

    async def edit_thread(self, thread_id: str, changed: dict[str, Any]) -> ThreadMetadata:
        """Saves changed fields of a thread, unless it is being deleted, and returns it.

        Raises:
            NotFoundError: There is none.
        """
        async with self.turns.guard.use(self.thread_key(thread_id)):
            return await self.turns.edit_thread(self.thread_key(thread_id), changed, self.store, self.context)

    async def finalise_orphans(self, thread_id: str) -> None:
        """Ends turns of a thread that a crash cut off and that waited for a request of its owner."""
        thread = self.thread_key(thread_id)
        await self.turns.recovery.finalise_orphans(thread, self.store, self.context)

    async def stop_turns(self, thread_id: str, turn_id: str | None = None) -> list[str]:
        """Ends what runs, or has run, in a thread, or the named turn only; returns the ids of what was running."""
        await self.finalise_orphans(thread_id)
        return await self.turns.stop(self.thread_key(thread_id), turn_id)

    @asynccontextmanager
    async def use_thread(self, thread_id: str, *, alone: bool = False) -> AsyncGenerator[None, None]:
        """Keeps a thread from being deleted while a turn begins in it.

        Args:
            thread_id: The thread.
            alone: Whether other requests that ask for this wait: sent twice at once, the second one finds what the
                first one did.
        """
        thread = self.thread_key(thread_id)
        async with self.turns.guard.use(thread):
            await self.finalise_orphans(thread_id)
            if not alone:
                yield
                return
            async with self.turns.answering.hold(thread):
                yield
