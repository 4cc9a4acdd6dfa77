"""One method per request that is answered with JSON."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chatkit.errors import ChatKitError, InvalidRequestError, NotFoundError, UnsupportedOperationError
from chatkit.files.limits import FileLimits, check_content
from chatkit.files.media_types import HEAD_BYTES
from chatkit.server.actions import call_action
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
from chatkit.store.base import find_item, plain_metadata
from chatkit.types import (
    Attachment,
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
    UserMessageItem,
    to_wire,
)

if TYPE_CHECKING:
    from chatkit.files.base import AttachmentStore
    from chatkit.store.base import Store

__all__ = ["DEFAULT_PAGE_SIZE", "Operations"]

logger = logging.getLogger("chatkit.server")

DEFAULT_PAGE_SIZE: Final = 20
_EMPTY: Final = b"{}"


class Operations:
    """Carries out the requests of one context.

    Args:
        store: The full store.
        runner: Knows the running turns.
        context: The request's context.
        files: Keeps attachments.
        limits: What files are taken; None takes any.
    """

    def __init__(
        self,
        store: Store[Any],
        runner: Runner,
        context: Any,
        files: AttachmentStore[Any] | None = None,
        limits: FileLimits | None = None,
    ) -> None:
        self._store = store
        self._runner = runner
        self._context = context
        self._files = files
        self._limits = limits

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
                return await self._with_fresh_links(page)
            if not all(is_hidden(item) for item in page.data):
                return await self._with_fresh_links(page)
            after = page.after

    async def _with_fresh_links(self, page: Page[ThreadItem]) -> Page[ThreadItem]:
        """Returns the page with links to files that are good now: those that were stored expire."""
        files = self._files
        if files is None or not any(_attachments(item) for item in page.data):
            return page
        data = [
            item.model_copy(
                update={
                    "attachments": [
                        await files.refresh_attachment(entry, self._context) for entry in item.attachments
                    ]
                }
            )
            if isinstance(item, UserMessageItem) and item.attachments
            else item
            for item in page.data
        ]
        return page.model_copy(update={"data": data})

    async def rename(self, params: ThreadUpdateParams) -> bytes:
        """``threads.update``."""
        return thread_json(await self._edit(params.thread_id, {"title": params.title}))

    async def delete_thread(self, thread_id: str) -> bytes:
        """``threads.delete``: stops what runs in the thread first, and deletes the thread's files."""
        await self._store.load_thread(thread_id, self._context)
        await self._runner.stop(thread_id)
        if self._files is not None and not self._store.deletes_files:
            # The files first: where one cannot be deleted, the thread stays and can be deleted again.
            for attachment_id in await self._store.attachment_ids(thread_id, self._context):
                await self._delete_file(self._files, attachment_id, thread_id)
        await self._store.delete_thread(thread_id, self._context)
        return _EMPTY

    async def _delete_file(self, files: AttachmentStore[Any], attachment_id: str, thread_id: str) -> None:
        try:
            if not await self._is_of_another_thread(attachment_id, thread_id):
                await files.delete_attachment(attachment_id, self._context)
        except (NotFoundError, FileNotFoundError):
            # Gone already: stores of applications may say so.
            pass
        except (ChatKitError, OSError):
            raise
        except Exception:
            # openai-chatkit leaves files behind, so its applications' stores may do anything here; their threads
            # can be deleted all the same.
            logger.exception("The file of attachment %s was not deleted with its thread", attachment_id)

    async def _is_of_another_thread(self, attachment_id: str, thread_id: str) -> bool:
        """Tells whether a message of another thread has named the attachment since."""
        try:
            attachment = await self._store.load_attachment(attachment_id, self._context)
        except NotFoundError:
            return False
        return attachment.thread_id not in {None, thread_id}

    async def feedback(
        self, params: ItemFeedbackParams, add_feedback: Callable[[str, list[str], Any, Any], Any]
    ) -> bytes:
        """``items.feedback``."""
        await self._store.load_thread(params.thread_id, self._context)
        for item_id in params.item_ids:
            if await find_item(self._store, params.thread_id, item_id, self._context) is None:
                raise NotFoundError(f"Thread {params.thread_id!r} has no item {item_id!r}.")
        await add_feedback(params.thread_id, params.item_ids, params.kind, self._context)
        return _EMPTY

    async def create_attachment(self, params: AttachmentCreateParams) -> bytes:
        """``attachments.create``."""
        files = self._attachment_store()
        params = self._admitted(params)
        attachment = await files.create_attachment(params, self._context)
        await self._store.save_attachment(attachment, self._context)
        return attachment_json(attachment)

    async def upload_attachment(self, params: AttachmentCreateParams, source: Path) -> bytes:
        """Stores a file that was posted to the application and answers its attachment."""
        files = self._attachment_store()
        params = self._admitted(params)
        head, size = await asyncio.to_thread(_look_at, source)
        check_content(params.mime_type, params.size, size, head)
        attachment = await files.upload_attachment(params, source, self._context)
        try:
            await self._store.save_attachment(attachment, self._context)
        except BaseException:
            await files.delete_attachment(attachment.id, self._context)
            raise
        return attachment_json(attachment)

    async def delete_attachment(self, attachment_id: str) -> bytes:
        """``attachments.delete``."""
        files = self._attachment_store()
        await self._store.load_attachment(attachment_id, self._context)
        await files.delete_attachment(attachment_id, self._context)
        await self._store.delete_attachment(attachment_id, self._context)
        return _EMPTY

    def _attachment_store(self) -> AttachmentStore[Any]:
        if self._files is None:
            raise UnsupportedOperationError(
                "This server takes no attachments: give ChatKitServer an attachment_store= or a file_store=."
            )
        return self._files

    def _admitted(self, params: AttachmentCreateParams) -> AttachmentCreateParams:
        if params.size < 0:
            raise InvalidRequestError("'size' must not be negative.")
        if self._limits is None:
            return params
        if not params.mime_type:
            # What browsers say of a file whose type they do not know.
            params = params.model_copy(update={"mime_type": "application/octet-stream"})
        self._limits.check_announced(params.size, params.mime_type)
        return params

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
        changed = edits.take()
        if changed:
            await self._edit(thread.id, changed)
        if not isinstance(response, SyncCustomActionResponse):
            return _EMPTY if response is None else to_wire(response)
        item = response.updated_item
        if item is None or is_hidden(item):
            return _EMPTY
        if not item.thread_id:
            item = item.model_copy(update={"thread_id": thread.id})
        return b'{"updated_item":' + item_json(item) + b"}"

    async def _edit(self, thread_id: str, changed: dict[str, Any]) -> ThreadMetadata:
        return await self._runner.editor.edit(self._store, thread_id, changed, self._context)


def _attachments(item: ThreadItem) -> list[Attachment]:
    return item.attachments if isinstance(item, UserMessageItem) else []


def _look_at(path: Path) -> tuple[bytes, int]:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES), os.fstat(file.fileno()).st_size
