"""What an application may override: its handlers, and the hooks that decide how turns end."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any, Final, Generic

from pydantic import JsonValue
from typing_extensions import TypeVar

from chatkit.actions import Action
from chatkit.errors import UnsupportedOperationError
from chatkit.files.base import AttachmentStore
from chatkit.store.base import Store
from chatkit.types import (
    AudioInput,
    FeedbackKind,
    FileStore,
    SDKHiddenContextItem,
    StreamOptions,
    ThreadItem,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
    UserMessageItem,
    WidgetItem,
)
from chatkit.types import Store as SimpleStore

__all__ = ["Handlers"]

TContext = TypeVar("TContext", default=Any)

logger = logging.getLogger("chatkit.server")

NEVER_CALLED: Final = frozenset(
    {
        "_apply_assistant_message_update",
        "_apply_structured_input_submission",
        "_build_user_message_item",
        "_cleanup_pending_client_tool_call",
        "_get_attachment_store",
        "_load_full_thread",
        "_paginate_thread_items_reverse",
        "_process_events",
        "_process_new_thread_item_respond",
        "_process_non_streaming",
        "_process_streaming",
        "_process_streaming_impl",
        "_process_sync_custom_action",
        "_serialize",
        "_to_thread_response",
        "_update_pending_items",
    }
)
"""Private methods of openai-chatkit 1.6.5 that subclasses may have overridden there."""


class Handlers(ABC, Generic[TContext]):
    """The overridable half of :class:`chatkit.server.ChatKitServer`."""

    # Each stays the object that was given, which may be one of the reference's kind; declared as what handlers that
    # use it were written for.
    store: Store[TContext]
    attachment_store: AttachmentStore[TContext] | None = None

    # Made on first use: a subclass need not call any __init__.
    _chatkit_lifts: tuple[object, object, tuple[Store[Any], AttachmentStore[Any] | None]] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if found := sorted(NEVER_CALLED & vars(cls).keys()):
            logger.warning(
                "%s overrides what openai-chatkit calls and this package does not: %s. The guide to migration names "
                "what to use instead.",
                cls.__qualname__,
                ", ".join(found),
            )

    @abstractmethod
    def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: TContext, /
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Yields the events that answer a message.

        Args:
            thread: The thread; what is changed on it is saved and sent.
            input_user_message: The message; None after a client tool's output or answered questions.
            context: What was given to :meth:`process`.
        """

    def _chatkit_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: TContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Yields the events that answer a widget's action.

        Override it with the parameters ``(thread, action, sender, context)``, or with
        ``(thread, action_type, payload, context)``.
        """
        raise UnsupportedOperationError("Override action() to react to actions of widgets.")

    def _chatkit_sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: TContext,
    ) -> Any:
        """Answers a widget's action that was sent with ``streaming: false``; parameters as :meth:`action`.

        Returns:
            A SyncCustomActionResponse, or an awaitable of one.
        """
        raise UnsupportedOperationError("Override sync_action() to react to sync actions of widgets.")

    if TYPE_CHECKING:
        # Both spellings of the parameters are right, which no single signature says.
        action: Any
        sync_action: Any
    else:
        action = _chatkit_action
        sync_action = _chatkit_sync_action

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: TContext
    ) -> None:
        """Takes the user's feedback on items; does nothing unless overridden."""

    async def transcribe(self, audio_input: AudioInput, context: TContext) -> TranscriptionResult:
        """Returns the text of a recording.

        Raises:
            UnsupportedOperationError: Not overridden.
        """
        raise UnsupportedOperationError("Override transcribe() to take dictation.")

    def get_stream_options(self, thread: ThreadMetadata, context: TContext) -> StreamOptions:
        """Returns the options that every stream begins with; by default the answer can be stopped."""
        return StreamOptions(allow_cancel=True)

    async def handle_stream_cancelled(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], context: TContext
    ) -> None:
        """Keeps what a stopped turn had produced; overridden, it is the only one that does.

        By default stores the pending items, and a hidden note for the model that the user stopped the answer.

        Args:
            thread: The thread.
            pending_items: The unfinished items in the state reached, without empty ones.
            context: The request's context.
        """
        store = self._chatkit_store()
        for item in pending_items:
            await store.put_thread_item(thread.id, item, context)
        note = SDKHiddenContextItem(
            id=store.generate_item_id("sdk_hidden_context", thread, context),
            thread_id=thread.id,
            content="The user stopped the answer here. Do not continue it unless asked to.",
        )
        await store.add_thread_item(thread.id, note, context)

    async def handle_stream_error(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], error: Exception, context: TContext
    ) -> None:
        """Keeps what a failed turn had produced; overridden, it is the only one that does.

        Args:
            thread: The thread.
            pending_items: The unfinished items in the state reached, without empty ones.
            error: What the handler raised, or ``chatkit.server.Interrupted`` when the process ends.
            context: The request's context.
        """
        store = self._chatkit_store()
        for item in pending_items:
            await store.put_thread_item(thread.id, item, context)

    def recovery_context(self, owner: str | None, thread_id: str) -> TContext | None:
        """Returns a context for finalising a turn whose worker died, where the store does not take an owner.

        Without one (None, the default), the next request in the thread finalises it.
        """
        return None

    def dump_context(self, context: TContext) -> JsonValue:
        """Returns what :meth:`load_context` makes the context from again, in another process: JSON, no secrets.

        Asked for with ``rerun_on_crash`` only, when a turn begins. None, the default, says that there is nothing to
        make it from: the turn is not run again.
        """
        return None

    def load_context(self, data: JsonValue) -> TContext | Awaitable[TContext]:
        """Returns the context of a turn that is run again, from what :meth:`dump_context` returned.

        Raises:
            Exception: The turn must not run again, because its user is gone, for example; it is finalised then.
        """
        raise NotImplementedError("Override load_context() along with dump_context().")

    # The stores, as the server uses them.

    def _chatkit_store(self) -> Store[Any]:
        return self._chatkit_lifted()[0]

    def _chatkit_files(self) -> AttachmentStore[Any] | None:
        return self._chatkit_lifted()[1]

    def _chatkit_lifted(self) -> tuple[Store[Any], AttachmentStore[Any] | None]:
        store, files = self.store, self.attachment_store
        held = self._chatkit_lifts
        if held is not None and held[0] is store and held[1] is files:
            return held[2]
        lifted = _lift_stores(store, files)
        self._chatkit_lifts = (store, files, lifted)
        return lifted


def _lift_stores(
    store: Store[Any] | SimpleStore, files: AttachmentStore[Any] | FileStore | None
) -> tuple[Store[Any], AttachmentStore[Any] | None]:
    """Returns full stores for what an application gave; full ones are returned as they are."""
    from chatkit.files.simple import lift_files
    from chatkit.store.simple import lift_store

    lifted = lift_store(store, files=files)
    return lifted, lift_files(files, store=lifted)
