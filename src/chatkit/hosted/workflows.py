"""The servers that workflows name, and what all of them keep of a tenant's threads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import TypeAdapter

from chatkit._checks import check_instance, shown
from chatkit._sqlite import MEMORY
from chatkit.errors import ConfigurationError, NotFoundError, UnsupportedOperationError
from chatkit.hosted.context import HostedContext, owner_of, owners_below, parts_of
from chatkit.hosted.items import item_entry, thread_entry
from chatkit.hosted.keys import NAME
from chatkit.hosted.paging import Load
from chatkit.server import ChatKitServer
from chatkit.server.handlers import is_overridden
from chatkit.store import OwnedThread, Store
from chatkit.types import Page, ThreadItem

__all__ = ["Workflows"]

_ITEMS: Final[TypeAdapter[Page[ThreadItem]]] = TypeAdapter(Page[ThreadItem])
_ITEMS_AT_ONCE: Final = 100


class Workflows:
    """The servers by the ids of their workflows.

    Args:
        servers: As for ``create_hosted_app``.

    Raises:
        ConfigurationError: There is none, or one that is no server, has a name that cannot be, or cannot keep users
            apart.
    """

    def __init__(self, servers: Mapping[str, ChatKitServer[Any]]) -> None:
        check_instance("workflows", servers, Mapping, "a mapping of workflow ids to servers")
        if not servers:
            raise ConfigurationError("workflows: there is none that a session could be of.")
        for workflow, server in servers.items():
            if not isinstance(cast("object", workflow), str) or not NAME.fullmatch(workflow):
                raise ConfigurationError(
                    f"workflows: {shown(workflow)} is no id; it is 1 to 100 of 0-9A-Za-z_.-, such as 'wf_support'."
                )
            check_instance(f"workflows[{workflow!r}]", server, ChatKitServer, "a ChatKitServer")
            _check_owners(workflow, server)
        self._servers = dict(servers)
        _check_reruns(list(self.distinct().values()))

    def __getitem__(self, workflow: str) -> ChatKitServer[Any] | None:
        return self._servers.get(workflow)

    def distinct(self) -> dict[str, ChatKitServer[Any]]:
        """Returns each server once, under the first workflow that names it."""
        return dict(self._first().values())

    def _first(self) -> dict[int, tuple[str, ChatKitServer[Any]]]:
        first: dict[int, tuple[str, ChatKitServer[Any]]] = {}
        for workflow, server in self._servers.items():
            first.setdefault(id(server), (workflow, server))
        return first

    def home_of(self, workflow: str) -> str:
        """Returns the workflow of ``distinct()`` that has the server of one that there is."""
        return self._first()[id(self._servers[workflow])][0]

    async def threads(
        self, prefix: str, limit: int, after: OwnedThread | None, order: str, *, thread_id: str | None = None
    ) -> list[OwnedThread]:
        """Returns threads of all workflows that there are; the arguments are those of ``Store.survey_threads``."""
        found: dict[tuple[str, str], OwnedThread] = {}
        for server in self.distinct().values():
            # Servers may share a database, and a database may have threads of workflows that are gone.
            for entry in await _survey(server, prefix, limit, after, order, thread_id, self):
                found[entry.owner, entry.thread.id] = entry
        return sorted(found.values(), key=_place, reverse=order == "desc")[:limit]

    async def find(self, tenant: str, thread_id: str) -> tuple[ChatKitServer[Any], HostedContext]:
        """Returns the server of a tenant's thread, and the context in which the tenant's server asks for it.

        Raises:
            NotFoundError: The tenant has no such thread.
        """
        _, server, context = await self._find(tenant, thread_id)
        return server, context

    async def _find(
        self, tenant: str, thread_id: str
    ) -> tuple[OwnedThread, ChatKitServer[Any], HostedContext]:
        found = await self.threads(owners_below(tenant), 1, None, "desc", thread_id=thread_id)
        parts = parts_of(found[0].owner) if found else None
        if parts is None:
            raise NotFoundError(f"There is no thread {thread_id!r}.")
        tenant, user, workflow = parts
        return (
            found[0],
            self._servers[workflow],
            HostedContext(tenant=tenant, user=user, workflow=workflow),
        )

    async def thread(self, tenant: str, thread_id: str) -> dict[str, Any]:
        """Returns a tenant's thread as the API shows it; raises NotFoundError."""
        found, _, context = await self._find(tenant, thread_id)
        return thread_entry(found, context.user)

    def load_threads(self, tenant: str, user: str | None) -> Load:
        """Returns what loads pages of a tenant's threads, or of one of its users."""

        async def load(order: str, after: str | None, count: int) -> list[dict[str, Any]]:
            cursor = None if after is None else (await self._find(tenant, after))[0]
            prefix = owners_below(tenant, user)
            found = await self.threads(prefix, count, cursor, order)
            return [thread_entry(entry, (parts_of(entry.owner) or ("", "", ""))[1]) for entry in found]

        return load

    def load_items(self, server: ChatKitServer[Any], context: HostedContext, thread_id: str) -> Load:
        """Returns what loads pages of a thread's items; those that the API has no form for are left out."""

        async def load(order: str, after: str | None, count: int) -> list[dict[str, Any]]:
            entries: list[dict[str, Any]] = []
            while True:
                page = await _items(server, context, thread_id, order, after)
                entries += [entry for item in page.data if (entry := item_entry(item, thread_id)) is not None]
                if len(entries) >= count or not page.has_more or page.after in {None, after}:
                    return entries[:count]
                after = page.after

        return load


def _place(entry: OwnedThread) -> tuple[Any, str]:
    return entry.thread.created_at, entry.thread.id


async def _survey(
    server: ChatKitServer[Any],
    prefix: str,
    limit: int,
    after: OwnedThread | None,
    order: str,
    thread_id: str | None,
    workflows: Workflows,
) -> list[OwnedThread]:
    """Returns threads of the workflows that the server is named by, as many as are asked for if there are."""
    store = _full_store(server)
    if store is None:
        raise UnsupportedOperationError(
            f"{type(server.store).__name__} cannot list the threads of all owners."
        )
    survey = store.survey_threads
    found: list[OwnedThread] = []
    while True:
        page = await survey(prefix, limit, after, order, thread_id=thread_id)
        for entry in page:
            parts = parts_of(entry.owner)
            if parts is not None and workflows[parts[2]] is server:
                found.append(entry)
        if len(page) < limit or len(found) >= limit:
            return found[:limit]
        after = page[-1]


async def _items(
    server: ChatKitServer[Any], context: HostedContext, thread_id: str, order: str, after: str | None
) -> Page[ThreadItem]:
    params = {"thread_id": thread_id, "limit": _ITEMS_AT_ONCE, "order": order, "after": after}
    result = await server.process(json.dumps({"type": "items.list", "params": params}), context)
    return _ITEMS.validate_json(cast("Any", result).json)


def _full_store(server: ChatKitServer[Any]) -> Store[Any] | None:
    """Returns the store of a server; None where it is one of another interface, which the server adapts."""
    store = cast("object", server.store)
    return cast("Store[Any]", store) if isinstance(store, Store) else None


def _check_reruns(servers: list[ChatKitServer[Any]]) -> None:
    """Raises ConfigurationError if a turn of one server, whose worker died, could be run again by another one."""
    places = [_place_of(server) for server in servers]
    for server, place in zip(servers, places, strict=True):
        if places.count(place) > 1 and is_overridden(server, "dump_context"):
            raise ConfigurationError(
                f"workflows: {type(server).__name__} runs turns again after a crash (dump_context), and shares its "
                "database with another server, which would run them as its own. Give it a database of its own."
            )


def _place_of(server: ChatKitServer[Any]) -> object:
    store: object = server.store
    database: Any = getattr(store, "database", None)
    place = getattr(database, "path", None) or getattr(database, "place", None)
    return id(store) if place in {None, MEMORY} else place


def _check_owners(workflow: str, server: ChatKitServer[Any]) -> None:
    """Raises ConfigurationError if a server's store would take another owner than the one of a request."""
    probe = HostedContext(tenant="a", user="b", workflow=workflow)
    store = _full_store(server)
    owner = None if store is None else store.owner(probe)
    if (owner is not None and owner != owner_of("a", "b", workflow)) or server.single_user is not None:
        raise ConfigurationError(
            f"workflows[{workflow!r}]: the store, or the server, has an owner of its own choice, under which users of "
            "hosted ChatKit would see one another's threads. Leave its owner= out."
        )
