"""Requests with files and recordings: ``attachments.create``, ``attachments.delete``, ``input.transcribe``, uploads.

And attaching files to messages.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from chatkit._outages import log_failure
from chatkit.audit import AuditKind
from chatkit.dialects.openai_chatkit.calls import call, call_form
from chatkit.dialects.openai_chatkit.files import OpenAIFilesAdapter
from chatkit.errors import (
    InvalidRequestError,
    NotFoundError,
    QuotaExceededError,
    StoreUnavailableError,
    UnsupportedOperationError,
)
from chatkit.files.limits import check_content
from chatkit.files.media_types import HEAD_BYTES
from chatkit.files.thumbnails import previews_for
from chatkit.quotas import FILE_QUOTAS, exceeded_by_files
from chatkit.server.handler_results import method_name, settled_result, wrong_result
from chatkit.server.reviews import review_input
from chatkit.server.scope import RequestScope
from chatkit.server.turns.usage import bounded_files
from chatkit.server.wire import attachment_json
from chatkit.store.base import OwnerContext
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentDeleteParams,
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    AudioInput,
    InputTranscribeParams,
    InputTranscribeReq,
    to_wire,
)

if TYPE_CHECKING:
    from chatkit.files.base import AttachmentStore
    from chatkit.store.base import Store

__all__ = ["HANDLERS", "attach", "create", "delete", "detach", "sweep", "transcribe", "upload"]

logger = logging.getLogger("chatkit.server")

_SLICE_CHARS: Final = 4 * 256 * 1024
# How openai-chatkit calls what its applications override.
_TRANSCRIBE: Final = call_form("audio_input context", 1)


async def create(scope: RequestScope, params: AttachmentCreateParams) -> bytes:
    """Registers an attachment and answers where to upload its file."""
    files = _file_store(scope)
    params = await review_input(scope, _admitted(scope, params))
    async with scope.use({"uploads": 1, "upload_bytes": params.size}):
        with previews_for(scope.owner):
            attachment = await files.create_attachment(params, scope.context)
        await _save_new(scope, attachment, params.size)
    return attachment_json(attachment)


async def upload(scope: RequestScope, params: AttachmentCreateParams, source: Path) -> bytes:
    """Stores a file that was posted to the application and answers its attachment."""
    files = _file_store(scope)
    params = await review_input(scope, _admitted(scope, params))
    head, size = await asyncio.to_thread(_look_at, source)
    check_content(params.mime_type, params.size, size, head)
    async with scope.use({"uploads": 1, "upload_bytes": size}):
        with previews_for(scope.owner):
            attachment = await files.upload_attachment(params, source, scope.context)
        try:
            await _save_new(scope, attachment, size)
        except QuotaExceededError:
            raise
        except BaseException:
            await files.delete_attachment(attachment.id, scope.context)
            raise
    return attachment_json(attachment)


async def _save_new(
    scope: RequestScope, attachment: Attachment, size: int | None, *, copy_of: str | None = None
) -> None:
    """Saves the record of a new attachment.

    Args:
        scope: The request.
        attachment: The record.
        size: Bytes of its file; None for as many as the one has that it is a copy of.
        copy_of: The id of that one.

    Raises:
        QuotaExceededError: There is no room for its file, which was deleted.
    """
    bounded = bounded_files(scope.store)
    if bounded is None:
        await scope.store.save_attachment(attachment, scope.context)
        return
    quotas = [quota for quota in scope.limits.quotas if quota.what in FILE_QUOTAS]
    full = await bounded.add_attachment(
        attachment, size, scope.group(), quotas, scope.context, copy_of=copy_of
    )
    if full is not None:
        await _file_store(scope).delete_attachment(attachment.id, scope.context)
        raise exceeded_by_files(full)


def _look_at(path: Path) -> tuple[bytes, int]:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES), os.fstat(file.fileno()).st_size


def _file_store(scope: RequestScope) -> AttachmentStore[Any]:
    if scope.files is None:
        raise UnsupportedOperationError(
            "This server takes no attachments: give ChatKitServer an attachment_store= or a file_store=."
        )
    return scope.files


def _admitted(scope: RequestScope, params: AttachmentCreateParams) -> AttachmentCreateParams:
    limits = scope.file_limits
    if params.size < 0:
        raise InvalidRequestError("'size' must not be negative.")
    if limits is None:
        return params
    kind = limits.fitting_type(params.name, params.mime_type)
    if kind != params.mime_type:
        params = params.model_copy(update={"mime_type": kind})
    limits.check_announced(params.size, params.mime_type)
    return params


async def delete(scope: RequestScope, params: AttachmentDeleteParams) -> bytes:
    """Deletes an attachment and its file."""
    files, attachment_id = _file_store(scope), params.attachment_id
    # Both of the application's, and told the context, tell tenants apart by themselves.
    trusted = scope.store_lacks_owners and isinstance(files, OpenAIFilesAdapter)
    if not trusted:
        await scope.store.load_attachment(attachment_id, scope.context)
    if scope.auditing is not None:
        await scope.auditing.deleted(AuditKind.ATTACHMENT_DELETED, scope.owner, attachment_id)
    await files.delete_attachment(attachment_id, scope.context)
    try:
        await scope.store.delete_attachment(attachment_id, scope.context)
    except NotFoundError:
        if not trusted:
            raise
    return b"{}"


async def transcribe(scope: RequestScope, params: InputTranscribeParams) -> bytes:
    """Answers the text of a recording."""
    method = scope.application.transcribe
    with scope.turns.count_call(scope):
        audio = AudioInput(data=await _decoded(params.audio_base64), mime_type=params.mime_type)
        made = call(method, _TRANSCRIBE, (audio, scope.context))
        result = await settled_result(made, method_name(method))
        if not isinstance(result, BaseModel):
            raise wrong_result(result, method_name(method), "Return TranscriptionResult(text=...).")
        return to_wire(result)


HANDLERS: Final = {
    AttachmentsCreateReq: create,
    AttachmentsDeleteReq: delete,
    InputTranscribeReq: transcribe,
}


async def _decoded(text: str) -> bytes:
    """Returns the bytes of a recording, decoded in slices so that nothing else waits for all of it."""
    slices: list[bytes] = []
    try:
        for start in range(0, len(text), _SLICE_CHARS):
            part = text[start : start + _SLICE_CHARS]
            if part.endswith("=") and start + _SLICE_CHARS < len(text):
                raise ValueError("The padding is not at the end.")
            slices.append(base64.b64decode(part, validate=True))
            await asyncio.sleep(0)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError("'audio_base64' must be the recording in base64.") from error
    return b"".join(slices)


async def attach(scope: RequestScope, attachment_ids: list[str], thread_id: str) -> list[Attachment]:
    """Returns the attachments that a message names; those of another thread are copied.

    Raises:
        RequestError: There are too many, or one is unknown or not uploaded yet.
    """
    if scope.file_limits is not None:
        scope.file_limits.check_count(len(attachment_ids))
    if not attachment_ids:
        return []
    with previews_for(scope.owner):
        return [
            await _attach(scope, attachment_id, thread_id) for attachment_id in dict.fromkeys(attachment_ids)
        ]


async def _attach(scope: RequestScope, attachment_id: str, thread_id: str) -> Attachment:
    files, context = scope.files, scope.context
    attachment = await scope.store.load_attachment(attachment_id, context)
    if files is None:
        return attachment
    await files.check_attachment(attachment, context)
    if attachment.thread_id not in {None, thread_id}:
        # Files go with their thread, so each thread has its own.
        copied = await files.copy_attachment(attachment, context)
        if copied.id != attachment.id:
            # Should the message not be stored, it is swept.
            await _save_new(scope, copied, None, copy_of=attachment_id)
        attachment = copied
    return await files.refresh_attachment(attachment, context)


async def detach(
    scope: RequestScope, attachments: list[Attachment], attachment_ids: list[str], thread_id: str
) -> None:
    """Takes back what was done to attachments for a message that is not stored.

    Args:
        scope: The request.
        attachments: What ``attach`` returned.
        attachment_ids: What the message named: the others are copies that were made for it.
        thread_id: The thread of the message.
    """
    for attachment in attachments:
        try:
            if attachment.id in attachment_ids:
                await _release(scope, attachment, thread_id)
            else:
                await _delete_copy(scope, attachment)
        except Exception as error:  # noqa: BLE001 -- a sweep does what is left, and the others can be done
            what = f"Attachment {attachment.id}, whose message is not stored, could not be made free again"
            log_failure(logger, what, error, brief=True)


async def _delete_copy(scope: RequestScope, attachment: Attachment) -> None:
    if scope.files is not None:
        await scope.files.delete_attachment(attachment.id, scope.context)
    with suppress(NotFoundError):
        await scope.store.delete_attachment(attachment.id, scope.context)


async def _release(scope: RequestScope, attachment: Attachment, thread_id: str) -> None:
    store, files, context = scope.store, scope.files, scope.context
    try:
        stored = await store.load_attachment(attachment.id, context)
    except NotFoundError:
        if files is not None:
            # Its record went with the thread, which was deleted meanwhile.
            with suppress(NotFoundError, FileNotFoundError):
                await files.delete_attachment(attachment.id, context)
        return
    if stored.thread_id not in {None, thread_id}:
        # A message of another thread has taken it meanwhile.
        return
    await store.save_attachment(attachment, context)
    if files is not None and attachment.thread_id is None and not store.deletes_files:
        await files.release_attachment(attachment, context)


async def sweep(store: Store[Any], files: AttachmentStore[Any], seconds: float) -> None:
    """Deletes the records of attachments that no message came for, once their files are orphans.

    A worker that died, or could not reach the file store, may have left a file claimed for a message that is not
    stored.

    Args:
        store: Has the records.
        files: Has the files.
        seconds: How old the records are at least.
    """
    begun, is_away = time.monotonic(), False
    for owner, attachment_id in await store.unclaimed_attachments(seconds):
        try:
            await _release_unclaimed(store, files, attachment_id, OwnerContext(owner))
        except Exception as error:  # noqa: BLE001 -- it is logged, and the others are released
            is_away = is_away or isinstance(error, StoreUnavailableError)
            log_failure(logger, f"The file of attachment {attachment_id} could not be released", error)
    if is_away:
        # Their records say whose they are, for the next time.
        return
    # None that became as old meanwhile.
    await store.sweep_attachments(seconds + time.monotonic() - begun + 1)


async def _release_unclaimed(
    store: Store[Any], files: AttachmentStore[Any], attachment_id: str, context: OwnerContext
) -> None:
    with suppress(NotFoundError):
        attachment = await store.load_attachment(attachment_id, context)
        if attachment.thread_id is None:
            await files.release_attachment(attachment, context)
            attachment = await store.load_attachment(attachment_id, context)
            if attachment.thread_id is not None:
                # A message came for it at this moment.
                await files.claim_attachment(attachment, context)
