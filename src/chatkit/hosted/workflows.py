"""The servers that workflows name, and what all of them keep of a tenant's threads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlsplit

from pydantic import TypeAdapter

from chatkit._checks import check_instance, shown
from chatkit._sqlite import MEMORY
from chatkit.dialects.adapters import adapt_store
from chatkit.errors import ConfigurationError, NotFoundError, UnsupportedOperationError
from chatkit.hosted.context import HostedContext, owner_of, owners_below, parts_of
from chatkit.hosted.errors import UnlistedError
from chatkit.hosted.items import item_entry, thread_entry
from chatkit.hosted.keys import NAME
from chatkit.hosted.paging import Load
from chatkit.ids import ITEM_ID_PREFIXES, made_at
from chatkit.server import ChatKitServer
from chatkit.server.handlers import is_overridden, overrides
from chatkit.store import OwnedThread, Store
from chatkit.types import Page, ThreadItem, ThreadMetadata

__all__ = ["Workflows"]

_ITEMS: Final[TypeAdapter[Page[ThreadItem]]] = TypeAdapter(Page[ThreadItem])
_ITEMS_AT_ONCE: Final = 100
_ROWS_AT_ONCE: Final = 500
"""Threads asked for at least where others that are not hosted ChatKit's lie between."""

_NO_SURVEY: Final = cast("Any", Store).survey_threads
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MADE_WITHIN: Final = timedelta(milliseconds=10)


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
                    f"workflows: {shown(workflow)} is no id; it is 1 to 100 of 0-9A-Za-z_.-, not '.' or '..', such as "
                    "'wf_support'."
                )
            check_instance(f"workflows[{workflow!r}]", server, ChatKitServer, "a ChatKitServer")
            _check_owners(workflow, server)
        self._servers = dict(servers)
        self._places: dict[object, list[ChatKitServer[Any]]] = {}
        for server in self.distinct().values():
            self._places.setdefault(_place_of(server), []).append(server)
        _check_reruns(self._places.values())

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
        return self.name_of(self._servers[workflow])

    def name_of(self, server: ChatKitServer[Any]) -> str:
        """Returns the workflow of ``distinct()`` that has a server."""
        return self._first()[id(server)][0]

    async def _threads(
        self, prefix: str, limit: int, after: OwnedThread | None, order: str, thread_id: str | None = None
    ) -> list[tuple[OwnedThread, ChatKitServer[Any]]]:
        """Returns threads of all databases, and their servers; the arguments are those of ``Store.survey_threads``.

        Those of workflows that are gone, or have moved to another database, are among them.

        Raises:
            UnlistedError: A store cannot list them, and none of the others has the one that is asked for.
        """
        found: dict[tuple[str, str], tuple[OwnedThread, ChatKitServer[Any]]] = {}
        unable: list[str] = []
        for servers in self._places.values():
            survey = _survey_of(servers)
            try:
                entries = await _survey(survey, prefix, limit, after, order, thread_id)
            except UnsupportedOperationError:
                names = [name for name, server in self._servers.items() if server in servers]
                unable.append(_cannot_list(names, servers[0]))
                continue
            for entry, workflow in entries:
                server, key = self._servers.get(workflow), (entry.owner, entry.thread.id)
                at_home = server in servers
                # A database that a workflow was moved from may have a copy.
                if at_home or key not in found:
                    found[key] = (entry, server if server is not None and at_home else servers[0])
        ordered = sorted(found.values(), key=lambda entry: _place(entry[0]), reverse=order == "desc")
        if unable and (thread_id is None or not ordered):
            raise UnlistedError(" ".join(unable))
        return ordered[:limit]

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
        found = await self._threads(owners_below(tenant), 1, None, "desc", thread_id)
        if not found:
            raise NotFoundError(f"There is no thread {thread_id!r}.")
        ((entry, server),) = found
        tenant, user, workflow = parts_of(entry.owner) or ("", "", "")
        return entry, server, HostedContext(tenant=tenant, user=user, workflow=workflow)

    async def _cursor(self, tenant: str, thread_id: str, order: str) -> OwnedThread:
        """Returns the place in a list that a thread has, or had before it was deleted; raises NotFoundError."""
        try:
            return (await self._find(tenant, thread_id))[0]
        except NotFoundError:
            # A loop that deletes what it lists goes on after a thread that it has deleted.
            moment = _made_at(thread_id)
            if moment is None:
                raise
        if order == "desc":
            # A thread is made a little later than its id: better that one comes twice than that one is left out.
            moment += _MADE_WITHIN
        return OwnedThread("", ThreadMetadata(id=thread_id, created_at=moment))

    async def thread(self, tenant: str, thread_id: str) -> dict[str, Any]:
        """Returns a tenant's thread as the API shows it; raises NotFoundError."""
        found, _, context = await self._find(tenant, thread_id)
        return thread_entry(found, context.user)

    def load_threads(self, tenant: str, user: str | None) -> Load:
        """Returns what loads pages of a tenant's threads, or of one of its users."""

        async def load(order: str, after: str | None, count: int) -> list[dict[str, Any]]:
            cursor = None if after is None else await self._cursor(tenant, after, order)
            prefix = owners_below(tenant, user)
            found = await self._threads(prefix, count, cursor, order)
            return [thread_entry(entry, (parts_of(entry.owner) or ("", "", ""))[1]) for entry, _ in found]

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


def _made_at(thread_id: str) -> datetime | None:
    """Returns when an id was made; None for one that was not made by this package."""
    prefix, made = ITEM_ID_PREFIXES["thread"], made_at(thread_id)
    if made is None or not thread_id.startswith(f"{prefix}_"):
        return None
    try:
        return _EPOCH + timedelta(microseconds=made)
    except OverflowError:
        return None


def _full_store(server: ChatKitServer[Any]) -> Store[Any] | None:
    """Returns the store of a server; None where it is one of another interface, which the server adapts."""
    store = cast("object", server.store)
    return cast("Store[Any]", store) if isinstance(store, Store) else None


def _survey_of(servers: list[ChatKitServer[Any]]) -> Store[Any] | None:
    """Returns the store of servers at one place that lists threads of all owners; None if none does."""
    for server in servers:
        store = _full_store(server)
        if store is not None and overrides(cast("Any", store).survey_threads, _NO_SURVEY):
            return store
    return None


async def _survey(
    store: Store[Any] | None,
    prefix: str,
    limit: int,
    after: OwnedThread | None,
    order: str,
    thread_id: str | None,
) -> list[tuple[OwnedThread, str]]:
    """Returns threads and their workflows, as many as are asked for if there are."""
    if store is None:
        raise UnsupportedOperationError
    found: list[tuple[OwnedThread, str]] = []
    count = limit
    while True:
        page = await store.survey_threads(prefix, count, after, order, thread_id=thread_id)
        for entry in page:
            parts = parts_of(entry.owner)
            # Others are not hosted ChatKit's.
            if parts is not None:
                found.append((entry, parts[2]))
        if len(page) < count or len(found) >= limit:
            return found[:limit]
        after, count = page[-1], max(limit, _ROWS_AT_ONCE)


def _cannot_list(workflows: list[str], server: ChatKitServer[Any]) -> str:
    return (
        f"{type(server.store).__name__}, the store of {', '.join(workflows)}, cannot list the threads of all owners: "
        "it has no method survey_threads."
    )


async def _items(
    server: ChatKitServer[Any], context: HostedContext, thread_id: str, order: str, after: str | None
) -> Page[ThreadItem]:
    params = {"thread_id": thread_id, "limit": _ITEMS_AT_ONCE, "order": order, "after": after}
    result = await server.process(json.dumps({"type": "items.list", "params": params}), context)
    return _ITEMS.validate_json(cast("Any", result).json)


def _check_reruns(places: Iterable[list[ChatKitServer[Any]]]) -> None:
    """Raises ConfigurationError if a turn of one server, whose worker died, could be run again by another one."""
    for servers in places:
        for server in servers:
            if len(servers) > 1 and is_overridden(server, "dump_context"):
                raise ConfigurationError(
                    f"workflows: {type(server).__name__} runs turns again after a crash (dump_context), and shares its "
                    "database with another server, which would run them as its own. Give it a database of its own."
                )


def _place_of(server: ChatKitServer[Any]) -> object:
    """Returns what two servers have in common if, and as far as can be told only if, they share a database."""
    database: Any = getattr(server.store, "database", None)
    path, settings = getattr(database, "path", None), getattr(database, "settings", None)
    if isinstance(path, str) and path not in {"", MEMORY}:
        return Path(path).resolve()
    place = _postgres_place(getattr(settings, "connection_string", None))
    if place is not None:
        return place
    return id(server.store if database is None else database)


def _postgres_place(connection_string: object) -> tuple[str, ...] | None:
    """Returns host, port and name of a database, with defaults in the place of what is not given."""
    if not isinstance(connection_string, str):
        return None
    try:
        parts = urlsplit(connection_string)
        query = parse_qs(parts.query)
    except ValueError:
        return None
    (host,) = query.get("host", [parts.netloc.rpartition("@")[2]])[:1]
    (port,) = query.get("port", ["5432"])[:1]
    (name,) = query.get("dbname", query.get("database", [parts.path.lstrip("/")]))[:1]
    # A default that is written out is the same place.
    return re.sub(r":5432(?=,|\Z)", "", host.lower()), port, name


def _check_owners(workflow: str, server: ChatKitServer[Any]) -> None:
    """Raises ConfigurationError if a server's store would take another owner than the one of a request, or none."""
    owner = adapt_store(server.store).owner(HostedContext(tenant="a", user="b", workflow=workflow))
    if owner is None:
        raise ConfigurationError(
            f"workflows[{workflow!r}]: {type(server.store).__name__} has no method owner, so that nothing says that it "
            "keeps the threads of tenants and users apart. Give it 'def owner(self, context): return "
            "context.user_id', and have each of its methods look at rows of that owner alone; or use a store of this "
            "package, or one with the reference's ten methods, over which ids are signed for each owner."
        )
    if owner != owner_of("a", "b", workflow) or server.single_user is not None:
        raise ConfigurationError(
            f"workflows[{workflow!r}]: the store, or the server, has an owner of its own choice, under which users of "
            "hosted ChatKit would see one another's threads. Leave its owner= out."
        )
