"""The owners of threads in a store whose interface knows none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from chatkit._secrets import OLD_SECRETS_VARIABLE, SECRET_VARIABLE, configured_secrets
from chatkit._tasks import maybe_await
from chatkit.dialects.reference.row_ids import (
    OwnerTags,
    has_tag,
    is_possible,
    is_random,
    is_tagged_item_id,
    tagged_item_id,
)
from chatkit.errors import ConfigurationError, MissingOwnerError
from chatkit.store.base import OwnerContext, usual_owner
from chatkit.types import ThreadMetadata

__all__ = ["StoreOwners", "ThreadOwner"]

logger = logging.getLogger("chatkit.store")

ThreadOwner: TypeAlias = Callable[[ThreadMetadata], str | Awaitable[str | None] | None]
"""Returns the owner of a thread whose id has no tag; None if it has no owner."""

_YIELD_EVERY: Final = 500
_REMEMBERED_ITEMS: Final = 10_000


class StoreOwners:
    """The owners of one ten-method store; all adapters of the store share it.

    Args:
        store: Name of the store's class, for messages.
    """

    def __init__(self, store: str) -> None:
        self._store = store
        self.thread_owner: ThreadOwner | None = None
        self._first_owner: str | None = None
        # Whether an owner was served, or a thread of one was seen; None if no request without an owner has asked.
        self._has_owned: bool | None = None
        self._warned: set[str] = set()
        # Threads of the items whose ids were taken for random ones, oldest first.
        self._threads_of_items: dict[str, str] = {}

    # Whom the store serves.

    async def admit(
        self, context: object, load_threads: Callable[[], Awaitable[Sequence[ThreadMetadata]]]
    ) -> None:
        """Raises if the context's owner is not served.

        Args:
            context: The request's context.
            load_threads: Returns the store's threads, of all owners.

        Raises:
            ConfigurationError: Another owner is served already, and no secret is configured; or the context names no
                owner, and the store has threads of owners.
        """
        if isinstance(context, OwnerContext):
            # Work without a request.
            return
        owner = usual_owner(context)
        if owner:
            self._admit_owner(owner)
            return
        if owner is None and context is not None and context != {}:
            self._warn_once(
                "no user_id",
                "The request context has no user_id: all requests share the threads in %s. For several users, give "
                "process() a context with the user's id in it.",
                self._store,
            )
        if self._has_owned is None:
            await self.select(await load_threads(), None)
            self._has_owned = bool(self._has_owned)
        if self._has_owned:
            raise self.no_owner(context)

    def _admit_owner(self, owner: str) -> None:
        self._has_owned = True
        if self._first_owner is None:
            self._first_owner = owner
        elif owner != self._first_owner and configured_secrets()[0] is None:
            raise ConfigurationError(
                f"{self._store} has the ten methods of chatkit.types.Store, which know no owners, and this process "
                f"has served another owner. To serve several, set the environment variable {SECRET_VARIABLE} to the "
                "same long random text for every process of the application, or derive the store from "
                "chatkit.store.Store."
            )

    def no_owner(self, context: object) -> ConfigurationError:
        """Returns the error for a context without an owner where threads have owners."""
        kind = ConfigurationError if usual_owner(context) is None else MissingOwnerError
        return kind(
            f"The request context names no owner, and threads in {self._store} have owners. Give process() a context "
            "with a user_id; for a single user, always the same one."
        )

    # Whose threads are.

    def tags(self, owner: str) -> OwnerTags:
        self._has_owned = True
        return OwnerTags(owner, configured_secrets())

    def row_ids(self, thread_id: str, owner: str | None) -> list[str]:
        """Returns the ids of the rows that may be a thread's, likeliest first; none if the owner has no such one."""
        if not is_possible(thread_id):
            return []
        if has_tag(thread_id):
            return [thread_id] if owner is not None and self.tags(owner).owns(thread_id) else []
        return [thread_id] if owner is None else [*self.tags(owner).row_ids(thread_id), thread_id]

    async def owns(self, row: ThreadMetadata, owner: str | None) -> bool:
        """Returns whether a row is the owner's; for None, whether it has no owner."""
        if has_tag(row.id):
            return owner is not None and self.tags(owner).owns(row.id)
        return await self._untagged_owner(row) == owner

    async def select(self, rows: Sequence[ThreadMetadata], owner: str | None) -> list[ThreadMetadata]:
        """Returns those of the rows that are the owner's; for None, those without an owner."""
        tags = None if owner is None else self.tags(owner)
        found: list[ThreadMetadata] = []
        untagged = tagged = 0
        for number, row in enumerate(rows, 1):
            if number % _YIELD_EVERY == 0:
                # A store may have many threads of others.
                await asyncio.sleep(0)
            if has_tag(row.id):
                mine = tags is not None and tags.owns(row.id)
                tagged += not mine
            else:
                of_row = await self._untagged_owner(row)
                mine = of_row == owner
                untagged += of_row is None and owner is not None
            if mine:
                found.append(row)
        if owner is None and len(found) < len(rows):
            self._has_owned = True
        if untagged:
            self._warn_once(
                "untagged",
                "%d threads in %s are hidden from everybody: their ids name no owner, as those from before owners were "
                "kept apart. Override ChatKitServer.thread_owner() to say whose they are.",
                untagged,
                self._store,
            )
        if tagged and owner is not None and configured_secrets()[0] is None:
            self._warn_once(
                "tagged",
                "%d threads in %s are other owners', or were made with a %s that is not set any more. Set it again, or "
                "name it in %s.",
                tagged,
                self._store,
                SECRET_VARIABLE,
                OLD_SECRETS_VARIABLE,
            )
        return found

    async def _untagged_owner(self, row: ThreadMetadata) -> str | None:
        if self.thread_owner is None:
            return None
        owner: Any = await maybe_await(self.thread_owner(row))
        return None if owner is None or owner == "" else str(owner)

    # Rows of items.

    def new_item_row_id(self, thread_row: str, item_id: str) -> str:
        """Returns the id of the row of a new item: with a tag, unless no item of another thread can have it."""
        if is_tagged_item_id(thread_row, item_id):
            return item_id
        if is_random(item_id):
            first = self._threads_of_items.setdefault(item_id, thread_row)
            if len(self._threads_of_items) > _REMEMBERED_ITEMS:
                del self._threads_of_items[next(iter(self._threads_of_items))]
            if first == thread_row:
                return item_id
        return tagged_item_id(thread_row, item_id)

    def item_row_ids(self, thread_row: str, item_id: str) -> list[str]:
        """Returns the ids of the rows that may be an item's, likeliest first."""
        if not is_possible(item_id):
            return []
        if is_tagged_item_id(thread_row, item_id):
            return [item_id]
        ids = [tagged_item_id(thread_row, item_id), item_id]
        return ids[::-1] if is_random(item_id) else ids

    def _warn_once(self, about: str, message: str, *details: object) -> None:
        if about not in self._warned:
            self._warned.add(about)
            logger.warning(message, *details)

    def warn_of_long_list(self, rows: int) -> None:
        """Says once that a list was not read to its end."""
        self._warn_once(
            "long",
            "%s has more than %d threads, of all owners: older ones are left out of lists. Raise "
            "Limits(scanned_threads=...), or derive the store from chatkit.store.Store.",
            self._store,
            rows,
        )
