"""One function per streaming request: checks it, loads what it needs, and says what the turn is to do.

Nothing is written here: the writes are in the plan's opening, so that what is wrong is an error of ``process()``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from chatkit.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    ThreadClosedError,
    ThreadLockedError,
    UnsupportedOperationError,
)
from chatkit.server.actions import call_action
from chatkit.server.pipeline import Pipeline
from chatkit.server.turn import TurnPlan
from chatkit.store.base import plain_metadata
from chatkit.streams.base import TurnInfo
from chatkit.types import (
    Attachment,
    ClientToolCallItem,
    StreamOptions,
    StreamOptionsEvent,
    StructuredInput,
    StructuredInputAnswer,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputSubmission,
    ThreadAddClientToolOutputParams,
    ThreadAddStructuredInputParams,
    ThreadAddUserMessageParams,
    ThreadCreateParams,
    ThreadCustomActionParams,
    ThreadMetadata,
    ThreadRetryAfterItemParams,
    ThreadStreamEvent,
    UserMessageInput,
    UserMessageItem,
    WidgetItem,
)

if TYPE_CHECKING:
    from chatkit.files.base import AttachmentStore
    from chatkit.files.limits import FileLimits
    from chatkit.store.base import Store

__all__ = ["Application", "Planner", "refuse_messages_unless_active"]

_TOOL_CALL_SEARCH = 20
"""Items at a thread's end among which the pending client tool call is looked for."""


class Application(Protocol):
    """The handlers of an application."""

    def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Any, /
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answers a message."""
        ...

    @property
    def action(self) -> Callable[..., Any]:
        """Answers an action; its parameters may have either spelling."""
        ...

    def get_stream_options(self, thread: ThreadMetadata, context: Any, /) -> StreamOptions:
        """Returns the options of a stream."""
        ...


def refuse_messages_unless_active(thread: ThreadMetadata) -> None:
    """Raises ThreadLockedError or ThreadClosedError if the thread takes no messages."""
    status = thread.status
    if status.type == "locked":
        raise ThreadLockedError(status.reason)
    if status.type == "closed":
        raise ThreadClosedError(status.reason)


class Planner:
    """Plans the turns of one request.

    Args:
        application: The handlers.
        store: The full store.
        context: The request's context.
        handles_actions: Whether the application overrides ``action()``.
        files: Keeps attachments.
        limits: How many attachments a message has at most; None takes any number.
    """

    def __init__(
        self,
        application: Application,
        store: Store[Any],
        context: Any,
        *,
        handles_actions: bool,
        files: AttachmentStore[Any] | None = None,
        limits: FileLimits | None = None,
    ) -> None:
        self._application = application
        self._store = store
        self._context = context
        self._handles_actions = handles_actions
        self._files = files
        self._limits = limits

    async def create(self, params: ThreadCreateParams) -> TurnPlan:
        """Plans ``threads.create``."""
        thread = ThreadMetadata(id=self._store.generate_thread_id(self._context))
        attachments = await self._attachments(params.input, thread.id)
        message = self._user_message(thread, params.input, attachments)
        store, context = self._store, self._context
        options = self._options(thread)

        async def opening(pipeline: Pipeline) -> None:
            await store.save_thread(thread.model_copy(deep=True), context)
            await self._store_message(message)
            pipeline.announce_thread(created=True)
            pipeline.announce_user_message(message)
            pipeline.accept(options)

        async def undo() -> None:
            # Attachments first: a store deletes those that are the thread's together with it.
            try:
                await self._restore(attachments, params.input, thread)
            finally:
                with suppress(NotFoundError):
                    await store.delete_thread(thread.id, context)

        return TurnPlan(
            thread=thread,
            opening=opening,
            handler=lambda pipeline: self._application.respond(pipeline.thread, message, context),
            undo=undo,
            user_item_id=message.id,
            message=True,
            fresh_thread=True,
        )

    async def add_user_message(self, params: ThreadAddUserMessageParams) -> TurnPlan:
        """Plans ``threads.add_user_message``."""
        thread = await self._thread(params.thread_id)
        refuse_messages_unless_active(thread)
        attachments = await self._attachments(params.input, thread.id)
        message = self._user_message(thread, params.input, attachments)
        options = self._options(thread)

        async def opening(pipeline: Pipeline) -> None:
            # Asked again, for a message that had to wait for its turn.
            refuse_messages_unless_active(thread)
            await self._store_message(message)
            pipeline.announce_user_message(message)
            pipeline.accept(options)

        return TurnPlan(
            thread=thread,
            opening=opening,
            handler=lambda pipeline: self._application.respond(pipeline.thread, message, self._context),
            undo=lambda: self._restore(attachments, params.input, thread),
            user_item_id=message.id,
            message=True,
        )

    async def retry(self, params: ThreadRetryAfterItemParams) -> TurnPlan:
        """Plans ``threads.retry_after_item``."""
        thread = await self._thread(params.thread_id)
        item = await self._store.load_item(thread.id, params.item_id, self._context)
        if not isinstance(item, UserMessageItem):
            raise InvalidRequestError(
                "'item_id' must name a user message: an answer is written again. This item is not a user message."
            )
        refuse_messages_unless_active(thread)
        store, context = self._store, self._context
        options = self._options(thread)

        async def opening(pipeline: Pipeline) -> None:
            refuse_messages_unless_active(thread)
            await store.delete_items_after(thread.id, item.id, context)
            pipeline.accept(options)

        return TurnPlan(
            thread=thread,
            opening=opening,
            handler=lambda pipeline: self._application.respond(pipeline.thread, item, context),
            user_item_id=item.id,
            message=True,
        )

    async def run_again(self, info: TurnInfo) -> TurnPlan | None:
        """Plans a turn anew whose worker died; its opening sends the stream options only.

        Returns:
            None if that would be wrong: the turn answers no message, the message is gone or no longer the newest,
            its thread takes no messages any more, or the turn had completed and only its log does not know.
        """
        if info.user_item_id is None:
            return None
        try:
            thread = await self._thread(info.thread_id)
            item = await self._newest_message(thread)
            if await self._store.has_completed(info.id, self._context):
                return None
        except NotFoundError:
            return None
        if item is None or item.id != info.user_item_id or thread.status.type != "active":
            return None
        options = self._options(thread)

        async def opening(pipeline: Pipeline) -> None:
            pipeline.accept(options)

        return TurnPlan(
            thread=thread,
            opening=opening,
            handler=lambda pipeline: self._application.respond(pipeline.thread, item, self._context),
            user_item_id=item.id,
            message=True,
        )

    async def _newest_message(self, thread: ThreadMetadata) -> UserMessageItem | None:
        after: str | None = None
        while True:
            page = await self._store.load_thread_items(thread.id, after, 50, "desc", self._context)
            for item in page.data:
                if isinstance(item, UserMessageItem):
                    return item
            if not page.has_more or page.after is None or page.after == after:
                return None
            after = page.after

    async def add_client_tool_output(self, params: ThreadAddClientToolOutputParams) -> TurnPlan:
        """Plans ``threads.add_client_tool_output``."""
        thread = await self._thread(params.thread_id)
        call = await self._pending_tool_call(thread)
        completed = call.model_copy(update={"status": "completed", "output": params.result})
        options = self._options(thread)

        async def opening(pipeline: Pipeline) -> None:
            try:
                await self._store.save_item_if_unchanged(thread.id, call, completed, self._context)
            except (ConflictError, NotFoundError) as error:
                raise _no_pending_call() from error
            pipeline.accept(options)

        return TurnPlan(
            thread=thread,
            opening=opening,
            handler=lambda pipeline: self._application.respond(pipeline.thread, None, self._context),
        )

    async def add_structured_input(self, params: ThreadAddStructuredInputParams) -> TurnPlan:
        """Plans ``threads.add_structured_input``."""
        thread = await self._thread(params.thread_id)
        item = await self._store.load_item(thread.id, params.item_id, self._context)
        if not isinstance(item, StructuredInputItem):
            raise InvalidRequestError("'item_id' must name a structured input item.")
        if item.status != "pending":
            raise _answered_already()
        answered = _answered(item, params.input)
        options = self._options(thread)

        async def opening(pipeline: Pipeline) -> None:
            try:
                await self._store.save_item_if_unchanged(thread.id, item, answered, self._context)
            except ConflictError as error:
                raise _answered_already() from error
            pipeline.accept(options)
            pipeline.announce_replacement(answered)

        return TurnPlan(
            thread=thread,
            opening=opening,
            handler=lambda pipeline: self._application.respond(pipeline.thread, None, self._context),
        )

    async def custom_action(self, params: ThreadCustomActionParams) -> TurnPlan:
        """Plans ``threads.custom_action``."""
        thread = await self._thread(params.thread_id)
        sender = await self.sender(thread, params.item_id)
        if not self._handles_actions:
            raise UnsupportedOperationError("Override action() to react to actions of widgets.")
        options = self._options(thread)

        async def opening(pipeline: Pipeline) -> None:
            pipeline.accept(options)

        return TurnPlan(
            thread=thread,
            opening=opening,
            handler=lambda pipeline: call_action(
                self._application.action, pipeline.thread, params.action, sender, self._context
            ),
        )

    async def sender(self, thread: ThreadMetadata, item_id: str | None) -> WidgetItem | None:
        """Returns the widget that an action comes from.

        Raises:
            InvalidRequestError: The item is no widget.
        """
        if item_id is None:
            return None
        item = await self._store.load_item(thread.id, item_id, self._context)
        if not isinstance(item, WidgetItem):
            raise InvalidRequestError("'item_id' must name a widget item, or be left out.")
        return item.model_copy(deep=True)

    async def _thread(self, thread_id: str) -> ThreadMetadata:
        return plain_metadata(await self._store.load_thread(thread_id, self._context))

    async def _attachments(self, given: UserMessageInput, thread_id: str) -> list[Attachment]:
        if self._limits is not None:
            self._limits.check_count(len(given.attachments))
        return [await self._attachment(attachment_id, thread_id) for attachment_id in given.attachments]

    async def _attachment(self, attachment_id: str, thread_id: str) -> Attachment:
        attachment = await self._store.load_attachment(attachment_id, self._context)
        if self._files is None:
            return attachment
        await self._files.check_attachment(attachment, self._context)
        if attachment.thread_id not in {None, thread_id}:
            # Files go with their thread, so each thread has its own.
            attachment = await self._files.copy_attachment(attachment, self._context)
        return await self._files.refresh_attachment(attachment, self._context)

    def _user_message(
        self, thread: ThreadMetadata, given: UserMessageInput, attachments: list[Attachment]
    ) -> UserMessageItem:
        return UserMessageItem(
            id=self._store.generate_item_id("message", thread, self._context),
            thread_id=thread.id,
            content=given.content,
            attachments=[entry.model_copy(update={"thread_id": thread.id}) for entry in attachments],
            quoted_text=given.quoted_text,
            inference_options=given.inference_options,
        )

    async def _store_message(self, message: UserMessageItem) -> None:
        for attachment in message.attachments:
            if self._files is not None:
                await self._files.claim_attachment(attachment, self._context)
            await self._store.save_attachment(attachment, self._context)
        await self._store.add_thread_item(message.thread_id, message.model_copy(), self._context)

    async def _restore(
        self, attachments: list[Attachment], given: UserMessageInput, thread: ThreadMetadata
    ) -> None:
        for attachment in attachments:
            if attachment.id not in given.attachments:
                # A copy that was made for this message.
                if self._files is not None:
                    await self._files.delete_attachment(attachment.id, self._context)
                with suppress(NotFoundError):
                    await self._store.delete_attachment(attachment.id, self._context)
                continue
            try:
                stored = await self._store.load_attachment(attachment.id, self._context)
            except NotFoundError:
                continue
            if stored.thread_id not in {None, thread.id}:
                # A message of another thread has taken it meanwhile.
                continue
            await self._store.save_attachment(attachment, self._context)
            if self._files is not None and attachment.thread_id is None and not self._store.deletes_files:
                await self._files.release_attachment(attachment, self._context)

    def _options(self, thread: ThreadMetadata) -> StreamOptionsEvent:
        options = self._application.get_stream_options(thread, self._context)
        return StreamOptionsEvent(stream_options=options)

    async def _pending_tool_call(self, thread: ThreadMetadata) -> ClientToolCallItem:
        page = await self._store.load_thread_items(thread.id, None, _TOOL_CALL_SEARCH, "desc", self._context)
        for item in page.data:
            if isinstance(item, ClientToolCallItem):
                if item.status == "pending":
                    return item
                break
            if isinstance(item, UserMessageItem):
                break
        raise _no_pending_call()


class ConflictValueError(ConflictError, ValueError):
    """The item is not in the state that the request expects; a ValueError too, as applications know it."""


def _no_pending_call() -> ConflictValueError:
    return ConflictValueError("No client tool call is waiting for its output in this thread.")


def _answered_already() -> ConflictValueError:
    return ConflictValueError("These questions have been answered already.")


def _answered(item: StructuredInputItem, submission: StructuredInputSubmission) -> StructuredInputItem:
    inputs = [_with_answer(question, submission) for question in item.inputs]
    return item.model_copy(update={"status": submission.status, "inputs": inputs})


def _with_answer(question: StructuredInput, submission: StructuredInputSubmission) -> StructuredInput:
    given = submission.answers.get(question.id)
    if submission.status == "skipped" or given is None or given.skipped or not given.values:
        answer = StructuredInputAnswer(skipped=True)
    else:
        values = given.values
        if isinstance(question, StructuredInputMultipleChoice) and not question.multiple:
            values = values[:1]
        answer = StructuredInputAnswer(values=values)
    return question.model_copy(update={"answer": answer})
