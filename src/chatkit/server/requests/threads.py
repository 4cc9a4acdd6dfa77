"""Requests about threads: ``threads.get_by_id``, ``threads.list``, ``threads.update``, ``threads.delete``."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any, Final

from chatkit.audit import AuditKind
from chatkit.dialects.openai_chatkit.files import OpenAIFilesAdapter
from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter
from chatkit.dialects.reference.files import FileStoreAdapter
from chatkit.errors import ChatKitError, NotFoundError, StoreError
from chatkit.files.base import AttachmentStore
from chatkit.server.handlers import Handlers, overrides
from chatkit.server.requests.items import DEFAULT_PAGE_SIZE, visible_page
from chatkit.server.reviews import review_input, reviews_input
from chatkit.server.scope import RequestScope
from chatkit.server.wire import thread_json, thread_page_json
from chatkit.store.search import can_search
from chatkit.types import (
    Capabilities,
    ThreadDeleteParams,
    ThreadGetByIdParams,
    ThreadListParams,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsUpdateReq,
    ThreadUpdateParams,
)

__all__ = ["HANDLERS", "delete", "get", "list_", "update"]

logger = logging.getLogger("chatkit.server")


async def get(scope: RequestScope, params: ThreadGetByIdParams) -> bytes:
    """Answers a thread with its oldest items."""
    thread_id = params.thread_id
    await scope.finalise_orphans(thread_id)
    thread = await scope.store.load_thread(thread_id, scope.context)
    # Before the items: a turn that ends meanwhile has stored them, or is named. After them once more: one that began
    # meanwhile may have stored its message only.
    key = scope.thread_key(thread_id)
    active = await scope.turns.active_turn(key)
    page = await visible_page(scope, thread_id, None, DEFAULT_PAGE_SIZE, "asc")
    active = active or await scope.turns.active_turn(key)
    return thread_json(thread, page, active_turn=active)


async def list_(scope: RequestScope, params: ThreadListParams) -> bytes:
    """Answers a page of threads."""
    limit = params.limit or DEFAULT_PAGE_SIZE
    page = await scope.store.load_threads(limit, params.after, params.order, scope.context)
    return thread_page_json(page, _capabilities_of(scope) if params.capabilities else None)


async def update(scope: RequestScope, params: ThreadUpdateParams) -> bytes:
    """Renames a thread."""
    if reviews_input(scope):
        # Who may not is told so first.
        await scope.store.load_thread(params.thread_id, scope.context)
        params = await review_input(scope, params)
    return thread_json(await scope.edit_thread(params.thread_id, {"title": params.title}))


async def delete(scope: RequestScope, params: ThreadDeleteParams) -> bytes:
    """Stops what runs in a thread, then deletes the thread, its files and what the log keeps of its turns.

    A log that is away keeps no thread from being deleted: a turn that runs on elsewhere finds the thread gone.
    """
    store, thread_id = scope.store, params.thread_id
    if isinstance(store, OpenAIStoreAdapter):
        store.require("delete_thread")
    await store.load_thread(thread_id, scope.context)
    if scope.auditing is not None:
        await scope.auditing.deleted(AuditKind.THREAD_DELETED, scope.owner, thread_id)
    thread = scope.thread_key(thread_id)
    # Before it is deleted alone: what stops may still edit the thread.
    failure = await _failure_of(scope.stop_turns(thread_id))
    async with scope.turns.guard.delete(thread):
        # What began meanwhile.
        failure = await _failure_of(scope.stop_turns(thread_id))
        if scope.files is not None and not store.deletes_files:
            # The files first: where one cannot be deleted, the thread stays and can be deleted again.
            for attachment_id in await store.attachment_ids(thread_id, scope.context):
                await _delete_file(scope, scope.files, attachment_id, thread_id)
        await store.delete_thread(thread_id, scope.context)
    # Another worker may have begun a turn at this very moment.
    failure = failure or await _failure_of(scope.turns.stop(thread))
    failure = await _failure_of(scope.turns.log.forget_thread(thread)) or failure
    if failure is not None:
        logger.warning(
            "Thread %s is deleted; what its stream log keeps of it goes when its time is over: %s",
            thread_id,
            failure,
        )
    return b"{}"


HANDLERS: Final = {
    ThreadsGetByIdReq: get,
    ThreadsListReq: list_,
    ThreadsUpdateReq: update,
    ThreadsDeleteReq: delete,
}


async def _failure_of(asking: Awaitable[object]) -> StoreError | None:
    """Waits for something that the log is asked, and returns why that was in vain."""
    try:
        await asking
    except StoreError as error:
        return error
    return None


async def _delete_file(
    scope: RequestScope, files: AttachmentStore[Any], attachment_id: str, thread_id: str
) -> None:
    try:
        if not await _is_of_another_thread(scope, attachment_id, thread_id):
            await files.delete_attachment(attachment_id, scope.context)
    except (NotFoundError, FileNotFoundError):
        # Gone already: stores of applications may say so.
        pass
    except (ChatKitError, OSError):
        raise
    except Exception:
        # openai-chatkit leaves files behind, so its applications' stores may do anything here; their threads can be
        # deleted all the same.
        logger.exception("The file of attachment %s was not deleted with its thread", attachment_id)


async def _is_of_another_thread(scope: RequestScope, attachment_id: str, thread_id: str) -> bool:
    """Returns whether a message of another thread has named the attachment since."""
    try:
        attachment = await scope.store.load_attachment(attachment_id, scope.context)
    except NotFoundError:
        return False
    return attachment.thread_id not in {None, thread_id}


def _capabilities_of(scope: RequestScope) -> Capabilities:
    """Returns what the server can do, by what its application overrides and configures."""
    return Capabilities(
        transcription=overrides(scope.application.transcribe, Handlers.transcribe),
        uploads=scope.files is not None and _takes_files(scope.files),
        search=can_search(scope.store),
        resume=True,
        stop=True,
    )


def _takes_files(files: AttachmentStore[Any]) -> bool:
    """Returns whether an attachment store takes files in either way; both methods are optional."""
    if isinstance(files, FileStoreAdapter):
        return True
    own: Any = files.files if isinstance(files, OpenAIFilesAdapter) else files
    port: Any = AttachmentStore
    return any(
        overrides(getattr(own, name, None), getattr(port, name))
        for name in ("create_attachment", "upload_attachment")
    )
