"""One method per request that is answered with JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from chatkit.errors import InvalidRequestError, UnsupportedOperationError
from chatkit.server.actions import call_action
from chatkit.server.pipeline import plain_metadata
from chatkit.server.plans import Planner
from chatkit.server.runner import Runner
from chatkit.server.thread_edits import ThreadEdits
from chatkit.server.wire import (
    attachment_json,
    is_hidden,
    item_json,
    item_page_json,
    thread_json,
    thread_page_json,
)
from chatkit.types import (
    AttachmentCreateParams,
    AudioInput,
    InputTranscribeParams,
    ItemFeedbackParams,
    ItemsListParams,
    Page,
    SyncCustomActionResponse,
    ThreadCustomActionParams,
    ThreadItem,
    ThreadListParams,
    ThreadMetadata,
    ThreadUpdateParams,
    to_wire,
)

if TYPE_CHECKING:
    from chatkit.files.base import AttachmentStore
    from chatkit.store.base import Store

__all__ = ["DEFAULT_PAGE_SIZE", "Operations"]

DEFAULT_PAGE_SIZE: Final = 20
_EMPTY: Final = b"{}"


class Operations:
    """Carries out the requests of one context.

    Args:
        store: The full store.
        runner: Knows the running turns.
        context: The request's context.
    """

    def __init__(self, store: Store[Any], runner: Runner, context: Any) -> None:
        self._store = store
        self._runner = runner
        self._context = context

    async def get_thread(self, thread_id: str) -> bytes:
        """``threads.get_by_id``: the thread with its oldest items."""
        thread = await self._store.load_thread(thread_id, self._context)
        page = await self._visible_page(thread_id, None, DEFAULT_PAGE_SIZE, "asc")
        return thread_json(thread, page, active_turn=await self._runner.active_turn(thread_id))

    async def list_threads(self, params: ThreadListParams) -> bytes:
        """``threads.list``."""
        page = await self._store.load_threads(
            params.limit or DEFAULT_PAGE_SIZE, params.after, params.order, self._context
        )
        return thread_page_json(page)

    async def list_items(self, params: ItemsListParams) -> bytes:
        """``items.list``."""
        await self._store.load_thread(params.thread_id, self._context)
        limit = params.limit or DEFAULT_PAGE_SIZE
        return item_page_json(await self._visible_page(params.thread_id, params.after, limit, params.order))

    async def _visible_page(
        self, thread_id: str, after: str | None, limit: int, order: str
    ) -> Page[ThreadItem]:
        """Returns the page with hidden items left out; reads on only where nothing but hidden items was found."""
        while True:
            page = await self._store.load_thread_items(thread_id, after, limit, order, self._context)
            if not page.has_more or page.after is None or page.after == after:
                return page
            if not all(is_hidden(item) for item in page.data):
                return page
            after = page.after

    async def rename(self, params: ThreadUpdateParams) -> bytes:
        """``threads.update``."""
        thread = plain_metadata(await self._store.load_thread(params.thread_id, self._context))
        thread.title = params.title
        await self._store.save_thread(thread, self._context)
        return thread_json(thread)

    async def delete_thread(self, thread_id: str) -> bytes:
        """``threads.delete``: stops what runs in the thread first."""
        await self._store.load_thread(thread_id, self._context)
        await self._runner.stop(thread_id)
        await self._store.delete_thread(thread_id, self._context)
        return _EMPTY

    async def feedback(
        self, params: ItemFeedbackParams, add_feedback: Callable[[str, list[str], Any, Any], Any]
    ) -> bytes:
        """``items.feedback``."""
        await self._store.load_thread(params.thread_id, self._context)
        for item_id in params.item_ids:
            await self._store.load_item(params.thread_id, item_id, self._context)
        await add_feedback(params.thread_id, params.item_ids, params.kind, self._context)
        return _EMPTY

    async def create_attachment(
        self, params: AttachmentCreateParams, files: AttachmentStore[Any] | None
    ) -> bytes:
        """``attachments.create``."""
        if files is None:
            raise UnsupportedOperationError(
                "This server takes no attachments: give ChatKitServer an attachment_store= or a file_store=."
            )
        if params.size < 0:
            raise InvalidRequestError("'size' must not be negative.")
        attachment = await files.create_attachment(params, self._context)
        await self._store.save_attachment(attachment, self._context)
        return attachment_json(attachment)

    async def delete_attachment(self, attachment_id: str, files: AttachmentStore[Any] | None) -> bytes:
        """``attachments.delete``."""
        if files is None:
            raise UnsupportedOperationError(
                "This server takes no attachments: give ChatKitServer an attachment_store= or a file_store=."
            )
        await self._store.load_attachment(attachment_id, self._context)
        await files.delete_attachment(attachment_id, self._context)
        await self._store.delete_attachment(attachment_id, self._context)
        return _EMPTY

    async def transcribe(
        self, params: InputTranscribeParams, transcribe: Callable[[AudioInput, Any], Any]
    ) -> bytes:
        """``input.transcribe``."""
        try:
            data = base64.b64decode(params.audio_base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidRequestError("'audio_base64' must be the recording in base64.") from error
        result = await transcribe(AudioInput(data=data, mime_type=params.mime_type), self._context)
        return to_wire(result)

    async def sync_action(
        self, params: ThreadCustomActionParams, planner: Planner, sync_action: Callable[..., Any] | None
    ) -> bytes:
        """``threads.sync_custom_action``."""
        thread = plain_metadata(await self._store.load_thread(params.thread_id, self._context))
        sender = await planner.sender(thread, params.item_id)
        if sync_action is None:
            raise UnsupportedOperationError("Override sync_action() to react to sync actions of widgets.")
        edits = ThreadEdits(thread)
        response = call_action(sync_action, thread, params.action, sender, self._context)
        if hasattr(response, "__await__"):
            response = await response
        await self._save_edits(thread.id, edits)
        if not isinstance(response, SyncCustomActionResponse):
            return _EMPTY if response is None else to_wire(response)
        item = response.updated_item
        if item is None or is_hidden(item):
            return _EMPTY
        if not item.thread_id:
            item = item.model_copy(update={"thread_id": thread.id})
        return b'{"updated_item":' + item_json(item) + b"}"

    async def _save_edits(self, thread_id: str, edits: ThreadEdits) -> None:
        changed = edits.take()
        if changed:
            stored: ThreadMetadata = plain_metadata(await self._store.load_thread(thread_id, self._context))
            await self._store.save_thread(stored.model_copy(update=changed), self._context)
