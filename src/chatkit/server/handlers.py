"""What an application may override: its handlers, and the hooks that decide how turns end; and whether it does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Generic

from pydantic import JsonValue
from typing_extensions import TypeVar

from chatkit._tasks import maybe_await
from chatkit.dialects.adapters import adapt_stores
from chatkit.dialects.openai_chatkit.calls import callable_by_names
from chatkit.dialects.openai_chatkit.private_methods import warn_of_private_methods
from chatkit.errors import UnsupportedOperationError
from chatkit.files.base import AttachmentStore
from chatkit.limits import DEFAULT_LIMITS, Limits
from chatkit.review import UserInput
from chatkit.store.base import Store, usual_owner
from chatkit.types import (
    AudioInput,
    FeedbackKind,
    SDKHiddenContextItem,
    StreamOptions,
    ThreadItem,
    ThreadMetadata,
    ThreadStreamEvent,
    TranscriptionResult,
    UserMessageItem,
)
from chatkit.usage import ModelPrice, Prices, PriceTable, price_of, read_prices

if TYPE_CHECKING:
    from chatkit.audit import Auditing, AuditLog
    from chatkit.counters import Counter
    from chatkit.files.limits import FileLimits
    from chatkit.personal_data import RetentionRule
    from chatkit.server.turns.registry import ConcurrencyPolicy, DisconnectPolicy
    from chatkit.streams.base import StreamLog

__all__ = ["Handlers", "is_overridden", "overrides"]

TContext = TypeVar("TContext", default=Any)


class Handlers(ABC, Generic[TContext]):
    """The overridable half of :class:`chatkit.server.ChatKitServer`."""

    # Each stays the object that was given, which may be one of the reference's kind; declared as what handlers that
    # use it were written for.
    store: Store[TContext]
    attachment_store: AttachmentStore[TContext] | None = None
    stream_log: StreamLog | None = None
    on_disconnect: DisconnectPolicy = "stop"
    concurrency: ConcurrencyPolicy = "allow"
    persist_item_updates: bool = False
    rerun_on_crash: int = 0
    file_limits: FileLimits | None = None
    limits: Limits | None = None
    counter: Counter | None = None
    model_prices: PriceTable | None = None
    audit: Auditing | AuditLog | bool | None = None
    retention: Sequence[RetentionRule] = ()
    single_user: str | None = None
    """The owner of all requests, in an application for one user; ``create_app`` sets it for ``single_user()``."""
    review_seconds: float = 30.0
    """How long each call of a hook that reviews content may take; what was to be reviewed is refused then."""
    shows_exceptions: bool = False
    """Whether the chat shows the text of a handler's exception, which may hold secrets: for development alone."""

    # Made on first use: a subclass need not call any __init__.
    _chatkit_prices: tuple[object, Prices] | None = None
    _chatkit_adapters: tuple[object, object, tuple[Store[Any], AttachmentStore[Any] | None]] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        warn_of_private_methods(cls)

    @abstractmethod
    def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: TContext, /
    ) -> AsyncIterator[ThreadStreamEvent | str]:
        """Yields what answers a message: events, or text, which is an assistant message that streams.

        Override it with ``async def`` and ``yield``; the parameters may have any names. Strings in a row are one
        message, which ends at the next event, or with the answer. Items need no ids.

        Args:
            thread: The thread; what is changed on it is saved and sent.
            input_user_message: The message; None after a client tool's output or answered questions.
            context: What was given to :meth:`process`: in most applications, who is asking.
        """

    @callable_by_names
    def action(
        self, thread: ThreadMetadata, action: Any, sender: Any, context: TContext, /
    ) -> AsyncIterator[ThreadStreamEvent | str]:
        """Yields what answers a click, or another action, of a widget: events, or text, as :meth:`respond` does.

        Override it with ``async def`` and ``yield``, and with one of two lists of parameters: ``(thread, action,
        sender, context)``, as below, or ``(thread, action_type, payload, context)``, where ``action_type`` is the
        ``type`` of the action, and ``payload`` its ``payload``, or an empty dictionary.

        Args:
            thread: The thread; what is changed on it is saved and sent.
            action: The action, an ``Action[str, Any]``: its ``type`` and ``payload`` are those of the widget's.
            sender: The widget that it comes from, a ``WidgetItem``; None if the page named none.
            context: What was given to :meth:`process`: in most applications, who is asking.

        Raises:
            UnsupportedOperationError: Not overridden.
        """
        raise UnsupportedOperationError("Override action() to react to actions of widgets.")

    @callable_by_names
    def sync_action(self, thread: ThreadMetadata, action: Any, sender: Any, context: TContext, /) -> Any:
        """Answers an action that a widget sent with ``streaming: false``; has the parameters of :meth:`action`.

        Args:
            thread: The thread; what is changed on it is saved.
            action: The action, an ``Action[str, Any]``.
            sender: The widget that it comes from, a ``WidgetItem``; None if the page named none.
            context: What was given to :meth:`process`.

        Returns:
            A SyncCustomActionResponse, None, or an awaitable of one of them. An ``updated_item`` without an id is the
            sender's new state.

        Raises:
            UnsupportedOperationError: Not overridden.
        """
        raise UnsupportedOperationError("Override sync_action() to react to sync actions of widgets.")

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

    async def review_input(self, params: UserInput, context: TContext) -> UserInput:
        """Returns what a user sends as it may be stored and handled; called before anything of it is.

        Nothing else sees what it refuses or takes out: no store, handler, title, index or trace. By default all is
        taken as it is. A message that is sent again under its idempotency key joins the turn of the first sending;
        what the hook returns for it, should it be called again, is not used. Retries answer what is stored.

        Args:
            params: The parameters of the request, a copy of the hook's own: the ``input`` of a message or of answers to
                questions, the ``result`` of a page's tool, an ``action`` with the values of a form, the ``title`` of a
                thread, the ``name`` of a file. ``chatkit.review`` reads and replaces their texts.
            context: The request's context.

        Returns:
            The parameters, or a changed copy.

        Raises:
            ContentRefusedError: It is refused, with a text for the user; any other ``RequestError`` will do as well.
            Exception: The review failed: it is refused too, and the client is told to try again.
        """
        return params

    async def review_output(self, item: ThreadItem, thread: ThreadMetadata, context: TContext) -> ThreadItem:
        """Returns an item of an answer as it may be stored and shown; overridden, answers do not stream.

        An item is then held back until it is done and reviewed, and shown whole; of a turn that is stopped or fails,
        what was not reviewed is not kept. By default items are shown as they are written.

        Args:
            item: What :meth:`respond` or :meth:`action` yielded, or :meth:`sync_action` returned: a message, widget,
                workflow, tool call, hidden context; a copy of the hook's own. ``chatkit.review`` reads and replaces its
                texts.
            thread: The thread.
            context: The request's context.

        Returns:
            The item, or a changed copy, of the same type.

        Raises:
            ContentRefusedError: It is neither stored nor shown, and the turn ends with its text.
            Exception: The review failed: the same, and the user may try again.
        """
        return item

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

    def turn_owner(self, context: TContext) -> str | None:
        """Returns the owner of a request's turns.

        Only requests of the same owner that can load the thread as well can resume or stop a turn, wait for it, or
        share its idempotency key. By default the ``user_id`` of the context. Override it where several users share
        threads: return the id of their team. Stores of this package know owners themselves; for others this is asked.

        Args:
            context: The request's context.

        Returns:
            The owner; None is one as well.
        """
        return usual_owner(context) or None

    def thread_owner(self, thread: ThreadMetadata) -> str | Awaitable[str | None] | None:
        """Returns the owner of a thread whose id does not name one; may be a coroutine.

        Asked only where the store is a :class:`chatkit.types.Store`, whose interface knows no owners, and of threads
        that an earlier version stored there or that the application stored itself. None, the default, hides such a
        thread from all owners.
        """
        return None

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

    def quota_group(self, context: TContext) -> str | None:
        """Returns the group whose quotas bound a request, beside those of its owner: a team or a plan, for example.

        Args:
            context: The request's context.

        Returns:
            The group; None, the default, is bounded by the owner's quotas alone.
        """
        return None

    # Limits and stores, as the server uses them.

    @property
    def _chatkit_limits(self) -> Limits:
        return self.limits or DEFAULT_LIMITS

    def _chatkit_price_of(self, model: str) -> ModelPrice | None:
        """Returns the price of a model; raises ConfigurationError where ``model_prices`` is no table of prices."""
        table, held = self.model_prices, self._chatkit_prices
        if table is None:
            return None
        if held is None or held[0] is not table:
            held = self._chatkit_prices = (table, read_prices(table))
        return price_of(held[1], model)

    def _chatkit_store(self) -> Store[Any]:
        return self._chatkit_adapted()[0]

    def _chatkit_files(self) -> AttachmentStore[Any] | None:
        return self._chatkit_adapted()[1]

    def _chatkit_adapted(self) -> tuple[Store[Any], AttachmentStore[Any] | None]:
        store, files = self.store, self.attachment_store
        held = self._chatkit_adapters
        if held is not None and held[0] is store and held[1] is files:
            return held[2]
        scanned_threads = self._chatkit_limits.scanned_threads
        adapted = adapt_stores(store, files, self._chatkit_thread_owner, scanned_threads)
        self._chatkit_adapters = (store, files, adapted)
        return adapted

    async def _chatkit_thread_owner(self, thread: ThreadMetadata) -> str | None:
        return await maybe_await(self.thread_owner(thread)) or self.single_user


def is_overridden(application: Handlers[Any], name: str) -> bool:
    """Returns whether a method of :class:`Handlers` is one of the application's own."""
    return getattr(type(application), name) is not getattr(Handlers, name)


def overrides(method: Any, default: Any) -> bool:
    """Returns whether an object has a method, or an attribute in its place, that is not the one of its base class.

    Args:
        method: What the object has under the method's name; None for nothing.
        default: The function of the base class.
    """
    return method is not None and getattr(method, "__func__", method) is not default
