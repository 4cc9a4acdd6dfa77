"""A client with one method for each request of the protocol."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self, TypeAlias

import httpx2

from chatkit._checks import checked
from chatkit.client.answers import (
    AnyAttachment,
    ThreadPage,
    ThreadView,
    all_entries,
    read_answer,
)
from chatkit.client.transport import DEFAULT_MAX_BYTES, DEFAULT_TIMEOUT, Transport
from chatkit.client.turns import TurnRequests, id_of
from chatkit.client.uploads import FileSource, describe_file, post_file, send_file
from chatkit.errors import ChatKitError, UnsupportedOperationError
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentDeleteParams,
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    Capabilities,
    FeedbackKind,
    InputTranscribeParams,
    InputTranscribeReq,
    ItemFeedbackParams,
    ItemsFeedbackReq,
    ItemsListParams,
    ItemsListReq,
    Page,
    SearchPage,
    ThreadDeleteParams,
    ThreadGetByIdParams,
    ThreadItem,
    ThreadListParams,
    ThreadMetadata,
    ThreadsDeleteReq,
    ThreadSearchParams,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsSearchReq,
    ThreadsUpdateReq,
    ThreadUpdateParams,
    TranscriptionResult,
)
from chatkit.types.base import Model

__all__ = ["ChatKitClient"]

Order: TypeAlias = Literal["asc", "desc"]


class ChatKitClient(TurnRequests):
    """A client of one ChatKit endpoint.

    Methods that make the assistant answer return a :class:`TurnStream`, to be entered with ``async with``; the others
    are awaited. Every method raises the errors of :mod:`chatkit.errors` that the server reports, and
    :class:`TransportError` when the server cannot be reached. A message given as text is sent as one text part.

    Args:
        url: The endpoint, such as ``http://127.0.0.1:8000/chatkit``.
        headers: Sent with each request, for example ``Authorization``.
        http: An httpx2 client to use, which the caller closes; its time-outs apply.
        timeout: Seconds, or an httpx2 time-out. A stream counts as broken after that long without a byte.
        retries: How often a request is sent again after its connection failed, where that does no harm, and how often
            a broken stream is re-attached without progress in between.
        backoff: Seconds before the first retry; doubled each time, up to 5, and shortened at random by up to half.
        max_bytes: Bytes of an answer, or of one event of a stream, at most; more is an ``UnexpectedAnswerError``.
        resumable: Whether turns survive a disconnect. Without it, leaving a stream stops the turn, as a browser's
            abort does, and a broken stream is an error at once.
    """

    @checked
    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        http: httpx2.AsyncClient | None = None,
        timeout: httpx2.Timeout | float = DEFAULT_TIMEOUT,
        retries: int = 2,
        backoff: float = 0.25,
        resumable: bool = True,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self._transport = Transport(
            url,
            headers=headers,
            http=http,
            timeout=timeout,
            retries=retries,
            backoff=backoff,
            max_bytes=max_bytes,
        )
        self._resumable = resumable

    @property
    def url(self) -> str:
        """The endpoint."""
        return self._transport.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections, but not those of a client that was given. Turns go on at the server."""
        await self._transport.aclose()

    # Threads and items

    async def get_thread(self, thread_id: str) -> ThreadView:
        """Returns a thread with its oldest items."""
        params = ThreadGetByIdParams(thread_id=thread_id)
        return await self._ask(ThreadsGetByIdReq(params=params), ThreadView, repeatable=True)

    async def list_threads(
        self, limit: int | None = None, after: str | None = None, order: Order = "desc"
    ) -> Page[ThreadMetadata]:
        """Returns a page of threads, newest first unless ``order`` says otherwise.

        Args:
            limit: Size of the page; None leaves it to the server.
            after: ``after`` of the page before.
            order: ``"asc"`` or ``"desc"``.
        """
        params = ThreadListParams(limit=limit, after=after, order=order)
        return await self._ask(ThreadsListReq(params=params), ThreadPage, repeatable=True)

    async def list_items(
        self, thread_id: str, limit: int | None = None, after: str | None = None, order: Order = "desc"
    ) -> Page[ThreadItem]:
        """Returns a page of a thread's items, newest first unless ``order`` says otherwise.

        Args:
            thread_id: The thread.
            limit: Size of the page; None leaves it to the server.
            after: ``after`` of the page before.
            order: ``"asc"`` or ``"desc"``.
        """
        params = ItemsListParams(thread_id=thread_id, limit=limit, after=after, order=order)
        return await self._ask(ItemsListReq(params=params), Page[ThreadItem], repeatable=True)

    async def capabilities(self) -> Capabilities:
        """Returns what the server can do; of one that does not say it, what openai-chatkit 1.6.5 can."""
        params = ThreadListParams(limit=1, capabilities=True)
        return (await self._ask(ThreadsListReq(params=params), ThreadPage, repeatable=True)).capabilities

    async def search_threads(
        self, query: str, limit: int | None = None, after: str | None = None
    ) -> SearchPage:
        """Returns a page of the threads whose title or messages answer a query, the best first.

        Args:
            query: Words that must all be there; those in quotation marks must follow one another. The last one, and
                each that ends with an asterisk, also stands for words that begin with it.
            limit: Threads of the page; None leaves it to the server.
            after: ``after`` of the page before.

        Raises:
            UnsupportedOperationError: The server cannot search: ``capabilities()`` says so before.
        """
        params = ThreadSearchParams(query=query, limit=limit, after=after)
        return await self._ask(ThreadsSearchReq(params=params), SearchPage, repeatable=True)

    def iterate_threads(
        self, *, order: Order = "desc", page_size: int | None = None
    ) -> AsyncIterator[ThreadMetadata]:
        """Yields all threads, page by page.

        Args:
            order: ``"asc"`` (oldest first) or ``"desc"``.
            page_size: Threads of a request; None leaves it to the server.
        """
        return all_entries(lambda after: self.list_threads(page_size, after, order))

    def iterate_items(
        self, thread_id: str, *, order: Order = "asc", page_size: int | None = None
    ) -> AsyncIterator[ThreadItem]:
        """Yields all items of a thread, page by page.

        Args:
            thread_id: The thread.
            order: ``"asc"`` (oldest first) or ``"desc"``.
            page_size: Items of a request; None leaves it to the server.
        """
        return all_entries(lambda after: self.list_items(thread_id, page_size, after, order))

    async def rename(self, thread_id: str, title: str) -> ThreadMetadata:
        """Gives a thread a title and returns the thread.

        Args:
            thread_id: The thread.
            title: The new title.
        """
        params = ThreadUpdateParams(thread_id=thread_id, title=title)
        return await self._ask(ThreadsUpdateReq(params=params), ThreadMetadata)

    async def delete_thread(self, thread_id: str) -> None:
        """Deletes a thread with all its items."""
        await self._ask(ThreadsDeleteReq(params=ThreadDeleteParams(thread_id=thread_id)), Model)

    async def feedback(self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind) -> None:
        """Says what the user thinks of items.

        Args:
            thread_id: The thread.
            item_ids: The items.
            kind: ``"positive"`` or ``"negative"``.
        """
        params = ItemFeedbackParams(thread_id=thread_id, item_ids=list(item_ids), kind=kind)
        await self._ask(ItemsFeedbackReq(params=params), Model)

    # Files and speech

    async def upload(
        self, file: FileSource, *, name: str | None = None, mime_type: str | None = None
    ) -> Attachment:
        """Uploads a file and returns its attachment, for ``create_thread`` and ``send_message``.

        The file is announced and then sent to where the server wants it, its own or a bucket's address (two-phase
        upload); the client's headers go only to the server of the endpoint. What fails half-way is deleted.

        Args:
            file: The file's bytes, or its path, from which it is read as it is sent.
            name: Its name; by default that of its path, or ``"file"``.
            mime_type: Its media type; by default the usual one of its name's extension.

        Raises:
            OSError: There is no such file.
            UnsupportedOperationError: The server takes no files, or direct uploads only.
            RequestTooLargeError: The file is larger than the server takes.
            UnsupportedMediaTypeError: The server does not take such files, or the bytes are of another type.
        """
        upload = await describe_file(file, name, mime_type)
        attachment = await self.create_attachment(upload.name, upload.size, upload.mime_type)
        try:
            if attachment.upload_descriptor is None:
                raise UnsupportedOperationError(
                    "The server does not tell where to send the file; it may take direct uploads: upload_directly()."
                )
            await send_file(self._transport, upload, attachment.upload_descriptor)
        except BaseException:
            # Otherwise the server would sweep it, in its time.
            with suppress(ChatKitError):
                await self.delete_attachment(attachment)
            raise
        return attachment

    async def upload_directly(
        self,
        file: FileSource,
        *,
        name: str | None = None,
        mime_type: str | None = None,
        url: str | None = None,
    ) -> Attachment:
        """Posts a file to the application (direct upload) and returns its attachment.

        Args:
            file: The file's bytes, or its path; it is held in memory.
            name: As in ``upload``.
            mime_type: As in ``upload``.
            url: Where to; by default ``files`` below the endpoint.

        Raises:
            OSError: There is no such file.
            ChatKitError: The server takes no such upload.
        """
        upload = await describe_file(file, name, mime_type)
        where = url or f"{self.url.partition('?')[0].rstrip('/')}/files"
        return read_answer(self.url, await post_file(self._transport, upload, where), AnyAttachment).root

    async def create_attachment(self, name: str, size: int, mime_type: str) -> Attachment:
        """Registers a file; the attachment's ``upload_descriptor`` says where to upload it.

        Args:
            name: Its name.
            size: Its bytes.
            mime_type: Its media type.
        """
        params = AttachmentCreateParams(name=name, size=size, mime_type=mime_type)
        return (await self._ask(AttachmentsCreateReq(params=params), AnyAttachment)).root

    async def delete_attachment(self, attachment_id: Attachment | str) -> None:
        """Deletes an attachment, given as such or by its id, and its file."""
        params = AttachmentDeleteParams(attachment_id=id_of(attachment_id))
        await self._ask(AttachmentsDeleteReq(params=params), Model)

    async def transcribe(self, audio: bytes, mime_type: str) -> str:
        """Returns the text of a recording.

        Args:
            audio: The recording.
            mime_type: Its media type, such as ``audio/webm;codecs=opus``.
        """
        encoded = base64.b64encode(audio).decode("ascii")
        params = InputTranscribeParams(audio_base64=encoded, mime_type=mime_type)
        return (await self._ask(InputTranscribeReq(params=params), TranscriptionResult)).text
