"""Requests about items: ``items.list``, ``items.feedback``."""

from __future__ import annotations

from typing import Final

from chatkit.dialects.openai_chatkit.calls import call, call_form
from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter, PageAsGiven
from chatkit.errors import NotFoundError
from chatkit.server.handler_results import method_name, settled_result
from chatkit.server.requests.ratings import tell_rating
from chatkit.server.scope import RequestScope
from chatkit.server.wire import is_hidden, item_page_json
from chatkit.store.base import find_item
from chatkit.types import (
    ItemFeedbackParams,
    ItemsFeedbackReq,
    ItemsListParams,
    ItemsListReq,
    Page,
    ThreadItem,
    UserMessageItem,
)

__all__ = ["DEFAULT_PAGE_SIZE", "HANDLERS", "feedback", "list_", "visible_page"]

DEFAULT_PAGE_SIZE: Final = 20
# How openai-chatkit calls what its applications override.
_ADD_FEEDBACK: Final = call_form("thread_id item_ids feedback context", 4)


async def list_(scope: RequestScope, params: ItemsListParams) -> bytes:
    """Answers a page of a thread's items."""
    await scope.finalise_orphans(params.thread_id)
    await scope.store.load_thread(params.thread_id, scope.context)
    limit = params.limit or DEFAULT_PAGE_SIZE
    return item_page_json(await visible_page(scope, params.thread_id, params.after, limit, params.order))


async def feedback(scope: RequestScope, params: ItemFeedbackParams) -> bytes:
    """Gives the application the user's feedback on items."""
    store, context, thread_id = scope.store, scope.context, params.thread_id
    await store.load_thread(thread_id, context)
    # Each id once: it is looked up, and the application stores something for it.
    item_ids = list(dict.fromkeys(params.item_ids))
    if not scope.store_lacks_owners:
        for item_id in item_ids:
            if await find_item(store, thread_id, item_id, context) is None:
                raise NotFoundError(f"Thread {thread_id!r} has no item {item_id!r}.")
    if isinstance(store, OpenAIStoreAdapter):
        item_ids = [store.stored_id(thread_id, item_id, context) for item_id in item_ids]
    add_feedback = scope.application.add_feedback
    given = (thread_id, item_ids, params.kind, context)
    await settled_result(call(add_feedback, _ADD_FEEDBACK, given), method_name(add_feedback))
    await tell_rating(scope, params)
    return b"{}"


HANDLERS: Final = {ItemsListReq: list_, ItemsFeedbackReq: feedback}


async def visible_page(
    scope: RequestScope, thread_id: str, after: str | None, limit: int, order: str
) -> Page[ThreadItem]:
    """Returns a page without hidden items; reads on only where it would be empty though there are more items."""
    read = {after}
    while True:
        page = await scope.store.load_thread_items(thread_id, after, limit, order, scope.context)
        if not page.has_more or page.after is None or page.after in read:
            return await _with_fresh_links(scope, page)
        if not all(is_hidden(item) for item in page.data) or isinstance(page, PageAsGiven):
            return await _with_fresh_links(scope, page)
        after = page.after
        read.add(after)


async def _with_fresh_links(scope: RequestScope, page: Page[ThreadItem]) -> Page[ThreadItem]:
    """Returns the page with links to files that are good now: those that were stored expire."""
    files = scope.files
    if files is None or not any(isinstance(item, UserMessageItem) and item.attachments for item in page.data):
        return page
    data: list[ThreadItem] = []
    for item in page.data:
        if isinstance(item, UserMessageItem) and item.attachments:
            links = [await files.refresh_attachment(entry, scope.context) for entry in item.attachments]
            data.append(item.model_copy(update={"attachments": links}))
        else:
            data.append(item)
    # What is sent of such a page is what was given; the models beside it are for this package.
    return page if isinstance(page, PageAsGiven) else page.model_copy(update={"data": data})
