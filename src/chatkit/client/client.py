"""The client: one method for each request of the protocol."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

import httpx2
from pydantic import Field, TypeAdapter, ValidationError

from chatkit.actions import Action
from chatkit.client.errors import UnexpectedAnswerError
from chatkit.client.stream import TurnStream
from chatkit.client.transport import DEFAULT_TIMEOUT, Transport
from chatkit.client.uploads import FileSource, describe_file, post_file, send_file
from chatkit.errors import ChatKitError, UnsupportedOperationError
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentDeleteParams,
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    BaseReq,
    FeedbackKind,
    InputTranscribeParams,
    InputTranscribeReq,
    ItemFeedbackParams,
    ItemsFeedbackReq,
    ItemsListParams,
    ItemsListReq,
    Page,
    StructuredInputAnswerSubmission,
    StructuredInputSubmission,
    SyncCustomActionResponse,
    Thread,
    ThreadAddClientToolOutputParams,
    ThreadAddStructuredInputParams,
    ThreadAddUserMessageParams,
    ThreadCreateParams,
    ThreadCustomActionParams,
    ThreadDeleteParams,
    ThreadGetByIdParams,
    ThreadItem,
    ThreadListParams,
    ThreadMetadata,
    ThreadRetryAfterItemParams,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsRetryAfterItemReq,
    ThreadsSyncCustomActionReq,
    ThreadsUpdateReq,
    ThreadUpdateParams,
    TranscriptionResult,
    TurnResumeParams,
    TurnsResumeReq,
    TurnsStopReq,
    TurnStopParams,
    UserMessageInput,
    UserMessageTextContent,
)
from chatkit.types.base import Model

__all__ = ["ActiveTurn", "ChatKitClient", "StoppedTurns", "ThreadView"]

Order: TypeAlias = Literal["asc", "desc"]
Answer: TypeAlias = str | Sequence[str] | StructuredInputAnswerSubmission
Metadata: TypeAlias = Mapping[str, Any]
T = TypeVar("T")


class ActiveTurn(Model):
    """A turn that is running."""

    id: str


class ThreadView(Thread):
    """A thread with its oldest items.

    Attributes:
        active_turn: The turn that is running in it; ``resume`` attaches to it.
    """

    active_turn: ActiveTurn | None = None


class StoppedTurns(Model):
    """The answer to a stop: ids of the turns that it ended."""

    stopped: list[str] = Field(default_factory=list)


_nothing: Final = TypeAdapter(dict[str, Any])
_attachment: Final[TypeAdapter[Attachment]] = TypeAdapter(Attachment)
_thread: Final = TypeAdapter(ThreadMetadata)
_thread_view: Final = TypeAdapter(ThreadView)
_threads: Final = TypeAdapter(Page[ThreadMetadata])
_items: Final = TypeAdapter(Page[ThreadItem])
_transcription: Final = TypeAdapter(TranscriptionResult)
_sync_action: Final = TypeAdapter(SyncCustomActionResponse)
_stopped: Final = TypeAdapter(StoppedTurns)


class ChatKitClient:
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
        resumable: Whether turns survive a disconnect. Without it, leaving a stream stops the turn, as a browser's
            abort does, and a broken stream is an error at once.
    """

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
    ) -> None:
        self._transport = Transport(
            url, headers=headers, http=http, timeout=timeout, retries=retries, backoff=backoff
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

    # Turns

    def create_thread(
        self,
        input: UserMessageInput | str,
        *,
        attachments: Sequence[Attachment | str] = (),
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
    ) -> TurnStream:
        """Starts a thread with a message.

        Args:
            input: The message.
            attachments: Files that go with it, from ``upload``, or their ids; besides those that the message names.
            metadata: For the application, sent with the request.
            idempotency_key: Makes the message the same turn when it is sent again; by default a fresh one, so that
                the client's own retries cannot send the message twice.
        """
        params = ThreadCreateParams(input=_message(input, attachments))
        return self._stream(
            ThreadsCreateReq(params=params, metadata=self._message_metadata(metadata, idempotency_key))
        )

    def send_message(
        self,
        thread_id: str,
        input: UserMessageInput | str,
        *,
        attachments: Sequence[Attachment | str] = (),
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
    ) -> TurnStream:
        """Adds a message to a thread; arguments as in ``create_thread``."""
        params = ThreadAddUserMessageParams(thread_id=thread_id, input=_message(input, attachments))
        return self._stream(
            ThreadsAddUserMessageReq(
                params=params, metadata=self._message_metadata(metadata, idempotency_key)
            ),
            thread_id,
        )

    def retry(self, thread_id: str, item_id: str, *, metadata: Metadata | None = None) -> TurnStream:
        """Deletes everything after a user message and asks for the answer again."""
        params = ThreadRetryAfterItemParams(thread_id=thread_id, item_id=item_id)
        return self._stream(
            ThreadsRetryAfterItemReq(params=params, metadata=self._turn_metadata(metadata)), thread_id
        )

    def add_tool_output(self, thread_id: str, result: Any, *, metadata: Metadata | None = None) -> TurnStream:
        """Gives the thread's pending client tool call its output, any JSON value, and asks to go on."""
        params = ThreadAddClientToolOutputParams(thread_id=thread_id, result=result)
        return self._stream(
            ThreadsAddClientToolOutputReq(params=params, metadata=self._turn_metadata(metadata)), thread_id
        )

    def answer_questions(
        self,
        thread_id: str,
        item_id: str,
        answers: Mapping[str, Answer] | None,
        *,
        metadata: Metadata | None = None,
    ) -> TurnStream:
        """Answers a structured input item.

        Args:
            thread_id: The thread.
            item_id: The pending structured input item.
            answers: By question id: a text, several texts, or a submission that may say "skipped". None skips all.
            metadata: For the application, sent with the request.
        """
        submission = StructuredInputSubmission(
            status="skipped" if answers is None else "answered",
            answers={question: _submission(answer) for question, answer in (answers or {}).items()},
        )
        params = ThreadAddStructuredInputParams(thread_id=thread_id, item_id=item_id, input=submission)
        return self._stream(
            ThreadsAddStructuredInputReq(params=params, metadata=self._turn_metadata(metadata)), thread_id
        )

    def action(
        self,
        thread_id: str,
        type: str,
        payload: Any = None,
        *,
        item_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> TurnStream:
        """Triggers an action.

        Args:
            thread_id: The thread.
            type: Name of the action.
            payload: Any JSON value.
            item_id: The widget's item; None for an action of the page.
            metadata: For the application, sent with the request.
        """
        params = _action(thread_id, type, payload, item_id)
        return self._stream(
            ThreadsCustomActionReq(params=params, metadata=self._turn_metadata(metadata)), thread_id
        )

    async def sync_action(
        self,
        thread_id: str,
        type: str,
        payload: Any = None,
        *,
        item_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> SyncCustomActionResponse:
        """Triggers an action that is answered at once; arguments as in ``action``."""
        params = _action(thread_id, type, payload, item_id)
        return await self._ask(
            ThreadsSyncCustomActionReq(params=params, metadata=dict(metadata or {})), _sync_action
        )

    def resume(self, thread_id: str, after: str | None = None) -> TurnStream:
        """Attaches to a running or just finished turn.

        Args:
            thread_id: The thread.
            after: ``last_event_id`` of the stream to go on with; None attaches to the thread's latest turn and begins
                with its state.
        """
        params = TurnResumeParams(thread_id=thread_id, after=after)
        return self._stream(TurnsResumeReq(params=params), thread_id, repeatable=True)

    async def stop(self, thread_id: str, turn_id: str | None = None) -> StoppedTurns:
        """Stops a turn, or all turns of the thread; returns when what they wrote so far is saved."""
        params = TurnStopParams(thread_id=thread_id, turn_id=turn_id)
        return await self._ask(TurnsStopReq(params=params), _stopped, repeatable=True)

    # Threads and items

    async def get_thread(self, thread_id: str) -> ThreadView:
        """Returns a thread with its oldest items."""
        params = ThreadGetByIdParams(thread_id=thread_id)
        return await self._ask(ThreadsGetByIdReq(params=params), _thread_view, repeatable=True)

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
        return await self._ask(ThreadsListReq(params=params), _threads, repeatable=True)

    async def list_items(
        self, thread_id: str, limit: int | None = None, after: str | None = None, order: Order = "desc"
    ) -> Page[ThreadItem]:
        """Returns a page of a thread's items; arguments as in ``list_threads``."""
        params = ItemsListParams(thread_id=thread_id, limit=limit, after=after, order=order)
        return await self._ask(ItemsListReq(params=params), _items, repeatable=True)

    async def iterate_threads(
        self, *, order: Order = "desc", page_size: int | None = None
    ) -> AsyncIterator[ThreadMetadata]:
        """Yields all threads, page by page."""
        after: str | None = None
        while True:
            page = await self.list_threads(page_size, after, order)
            for thread in page.data:
                yield thread
            if not page.has_more or page.after in {None, after}:
                return
            after = page.after

    async def iterate_items(
        self, thread_id: str, *, order: Order = "asc", page_size: int | None = None
    ) -> AsyncIterator[ThreadItem]:
        """Yields all items of a thread, page by page, oldest first."""
        after: str | None = None
        while True:
            page = await self.list_items(thread_id, page_size, after, order)
            for item in page.data:
                yield item
            if not page.has_more or page.after in {None, after}:
                return
            after = page.after

    async def rename(self, thread_id: str, title: str) -> ThreadMetadata:
        """Gives a thread a title and returns the thread."""
        params = ThreadUpdateParams(thread_id=thread_id, title=title)
        return await self._ask(ThreadsUpdateReq(params=params), _thread)

    async def delete_thread(self, thread_id: str) -> None:
        """Deletes a thread with all its items."""
        await self._ask(ThreadsDeleteReq(params=ThreadDeleteParams(thread_id=thread_id)), _nothing)

    async def feedback(self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind) -> None:
        """Says what the user thinks of items: ``"positive"`` or ``"negative"``."""
        params = ItemFeedbackParams(thread_id=thread_id, item_ids=list(item_ids), kind=kind)
        await self._ask(ItemsFeedbackReq(params=params), _nothing)

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
        return self._read(await post_file(self._transport, upload, where), _attachment)

    async def create_attachment(self, name: str, size: int, mime_type: str) -> Attachment:
        """Registers a file of ``size`` bytes; the attachment's ``upload_descriptor`` tells where to upload it."""
        params = AttachmentCreateParams(name=name, size=size, mime_type=mime_type)
        return await self._ask(AttachmentsCreateReq(params=params), _attachment)

    async def delete_attachment(self, attachment_id: Attachment | str) -> None:
        """Deletes an attachment, given as such or by its id, and its file."""
        params = AttachmentDeleteParams(attachment_id=_id(attachment_id))
        await self._ask(AttachmentsDeleteReq(params=params), _nothing)

    async def transcribe(self, audio: bytes, mime_type: str) -> str:
        """Returns the text of a recording, such as one of type ``audio/webm;codecs=opus``."""
        encoded = base64.b64encode(audio).decode("ascii")
        params = InputTranscribeParams(audio_base64=encoded, mime_type=mime_type)
        return (await self._ask(InputTranscribeReq(params=params), _transcription)).text

    async def _ask(self, request: BaseReq, answer: TypeAdapter[T], *, repeatable: bool = False) -> T:
        return self._read(await self._transport.call(request, repeatable=repeatable), answer)

    def _read(self, body: bytes, answer: TypeAdapter[T]) -> T:
        try:
            return answer.validate_json(body)
        except ValidationError as error:
            raise UnexpectedAnswerError(
                f"{self.url} answered with something that is not an answer of the ChatKit protocol. "
                "Is the URL the chat's endpoint?"
            ) from error

    def _stream(
        self, request: BaseReq, thread_id: str | None = None, *, repeatable: bool = False
    ) -> TurnStream:
        return TurnStream(
            self._transport,
            request,
            thread_id=thread_id,
            repeatable=repeatable or "idempotency_key" in request.metadata,
            stop=self.stop,
        )

    def _turn_metadata(self, metadata: Metadata | None) -> dict[str, Any]:
        return {**(metadata or {}), **({"resumable": True} if self._resumable else {})}

    def _message_metadata(self, metadata: Metadata | None, key: str | None) -> dict[str, Any]:
        given = self._turn_metadata(metadata)
        if key is not None:
            given["idempotency_key"] = key
        elif self._resumable:
            # A turn that a disconnect stops cannot be attached to again, so a key would promise too much.
            given.setdefault("idempotency_key", secrets.token_urlsafe(18))
        return given


def _message(input: UserMessageInput | str, attachments: Sequence[Attachment | str]) -> UserMessageInput:
    if isinstance(input, str):
        input = UserMessageInput(content=[UserMessageTextContent(text=input)])
    if not attachments:
        return input
    return input.model_copy(update={"attachments": [*input.attachments, *map(_id, attachments)]})


def _id(attachment: Attachment | str) -> str:
    return attachment if isinstance(attachment, str) else attachment.id


def _submission(answer: Answer) -> StructuredInputAnswerSubmission:
    if isinstance(answer, StructuredInputAnswerSubmission):
        return answer
    return StructuredInputAnswerSubmission(values=[answer] if isinstance(answer, str) else list(answer))


def _action(thread_id: str, type: str, payload: Any, item_id: str | None) -> ThreadCustomActionParams:
    return ThreadCustomActionParams(
        thread_id=thread_id, item_id=item_id, action=Action[str, Any](type=type, payload=payload)
    )
