"""Requests that search: ``threads.search``."""

from __future__ import annotations

from typing import Final

from chatkit.errors import UnsupportedOperationError
from chatkit.server.requests.items import DEFAULT_PAGE_SIZE
from chatkit.server.scope import RequestScope
from chatkit.server.wire import search_page_json
from chatkit.store.search import can_search
from chatkit.types import ThreadSearchParams, ThreadsSearchReq

__all__ = ["HANDLERS", "search"]

_LARGEST_PAGE: Final = 100


async def search(scope: RequestScope, params: ThreadSearchParams) -> bytes:
    """Answers the threads that were found, with what was found in each."""
    store = scope.store
    if not can_search(store):
        raise UnsupportedOperationError("The threads of this server cannot be searched.")
    limit = min(params.limit or DEFAULT_PAGE_SIZE, _LARGEST_PAGE)
    return search_page_json(await store.search_threads(params.query, limit, params.after, scope.context))


HANDLERS: Final = {ThreadsSearchReq: search}
