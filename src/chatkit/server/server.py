"""The server: takes a request's body and context, returns a JSON answer or a stream."""

from __future__ import annotations

import hashlib
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, cast

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypeVar

from chatkit.actions import Action
from chatkit.errors import (
    ConfigurationError,
    InvalidRequestError,
    MalformedRequestError,
    NotFoundError,
    TurnNotFoundError,
    UnsupportedOperationError,
)
from chatkit.files.base import AttachmentStore
from chatkit.ids import new_id
from chatkit.server.operations import Operations
from chatkit.server.plans import Planner
from chatkit.server.replay import replay_from_store
from chatkit.server.results import NonStreamingResult, StreamingResult
from chatkit.server.runner import ConcurrencyPolicy, DisconnectPolicy, Runner
from chatkit.server.turn import TurnPlan
from chatkit.store.base import Store
from chatkit.streams.base import EventId, KeyClaim, StreamLog
from chatkit.streams.memory import MemoryStreamLog
from chatkit.types import (
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    AudioInput,
    ChatKitReq,
    FeedbackKind,
    FileStore,
    InputTranscribeReq,
    ItemsFeedbackReq,
    ItemsListReq,
    NonStreamingReq,
    SDKHiddenContextItem,
    StreamingReq,
    StreamOptions,
    ThreadItem,
    ThreadMetadata,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
    ThreadsUpdateReq,
    TranscriptionResult,
    TurnsResumeReq,
    TurnsStopReq,
    UserMessageItem,
    WidgetItem,
    is_streaming_req,
)
from chatkit.types import Store as SimpleStore

__all__ = ["ChatKitServer"]

TContext = TypeVar("TContext", default=Any)

_RECOVER_EVERY = 10.0
"""Seconds between two looks for turns that another process left behind, taken when a request comes in."""


class ChatKitServer(ABC, Generic[TContext]):
    """Base of an application's server: override :meth:`respond`.

    Args:
        store: Keeps threads and items: a full :class:`chatkit.store.Store`, or a :class:`chatkit.types.Store`.
        attachment_store: Keeps attachments: an :class:`chatkit.files.AttachmentStore` or a
            :class:`chatkit.types.FileStore`.
        file_store: The same under the reference's name.
        stream_log: Keeps the events of running turns; by default the one that suits the store.
        on_disconnect: What happens to a turn that is not resumable when its reader is gone.
        concurrency: What a message does in a thread in which a turn runs.
        persist_item_updates: Whether updates of items of earlier turns are stored.
    """

    # Each stays the object that was given, which may be one of the reference's kind; declared as what handlers that
    # use it were written for.
    store: Store[TContext]
    attachment_store: AttachmentStore[TContext] | None = None
    stream_log: StreamLog | None = None
    on_disconnect: DisconnectPolicy = "stop"
    concurrency: ConcurrencyPolicy = "allow"
    persist_item_updates: bool = False

    # Made on first use: a subclass need not call __init__ of this class.
    _lifts: tuple[object, object, tuple[Store[Any], AttachmentStore[Any] | None]] | None = None
    _runner: Runner | None = None
    _recovered_at: float = -math.inf

    def __init__(
        self,
        store: Store[TContext] | SimpleStore,
        attachment_store: AttachmentStore[TContext] | FileStore | None = None,
        *,
        file_store: AttachmentStore[TContext] | FileStore | None = None,
        stream_log: StreamLog | None = None,
        on_disconnect: DisconnectPolicy = "stop",
        concurrency: ConcurrencyPolicy = "allow",
        persist_item_updates: bool = False,
    ) -> None:
        if attachment_store is not None and file_store is not None:
            raise ConfigurationError("Give either attachment_store= or file_store=, they mean the same.")
        self.store = cast("Store[TContext]", store)
        files = attachment_store if attachment_store is not None else file_store
        self.attachment_store = cast("AttachmentStore[TContext] | None", files)
        self.stream_log = stream_log
        self.on_disconnect = on_disconnect
        self.concurrency = concurrency
        self.persist_item_updates = persist_item_updates

    @property
    def file_store(self) -> AttachmentStore[TContext] | None:
        """Same as ``attachment_store``."""
        return self.attachment_store

    # What an application overrides.

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

    def _action(
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

    def _sync_action(
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
        action = _action
        sync_action = _sync_action

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
        store = self._store()
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
        store = self._store()
        for item in pending_items:
            await store.put_thread_item(thread.id, item, context)

    def recovery_context(self, owner: str | None, thread_id: str) -> TContext | None:
        """Returns a context for finalising a turn whose worker died, where the store does not take an owner.

        Without one (None, the default), the next request in the thread finalises it.
        """
        return None

    # What an endpoint calls.

    async def process(
        self, request: str | bytes | bytearray, context: TContext
    ) -> StreamingResult | NonStreamingResult:
        """Answers a request.

        Args:
            request: The body, JSON.
            context: Anything; handlers and store get it. Stores of this package read the owner from its ``user_id``.

        Raises:
            RequestError: The request is wrong; nothing was written. Its ``status`` and ``code`` say how.
            ChatKitError: The server cannot carry it out.
        """
        parsed = parse_request(request)
        await self._recover_now_and_then()
        if is_streaming_req(parsed):
            return await self._stream(parsed, context)
        return NonStreamingResult(await self._answer(parsed, context))

    async def recover(self) -> int:
        """Finalises turns that a crash cut off: what they had produced is stored. Returns how many there were."""
        self._recovered_at = time.monotonic()
        return await self._turns().recover(self._store(), self.recovery_context)

    async def shutdown(self) -> None:
        """Ends all running turns as interrupted, their partial answers stored and their readers told."""
        await self._turns().shutdown()

    async def close(self) -> None:
        """Shuts down, then releases what log and store hold. The server can be used again afterwards."""
        turns = self._turns()
        await turns.shutdown()
        await turns.log.close()
        await self._store().close()
        turns.reopen()

    async def check(self) -> None:
        """Raises if requests cannot be served: the store does not answer."""
        await self._store().check()

    def check_workers(self, workers: int) -> None:
        """Raises ConfigurationError if so many workers cannot serve together: their stream log is not shared."""
        log = self._turns().log
        if workers > 1 and not log.shared:
            raise ConfigurationError(
                f"{workers} workers cannot share {type(log).__name__}: a turn could not be resumed or stopped from "
                "another worker. Run one worker (--workers 1, WEB_CONCURRENCY=1), or give the server a log that "
                "workers share: ChatKitServer(..., stream_log=...)."
            )

    # How it is done.

    def _store(self) -> Store[Any]:
        return self._lifted()[0]

    def _files(self) -> AttachmentStore[Any] | None:
        return self._lifted()[1]

    def _lifted(self) -> tuple[Store[Any], AttachmentStore[Any] | None]:
        store, files = self.store, self.attachment_store
        held = self._lifts
        if held is not None and held[0] is store and held[1] is files:
            return held[2]
        lifted = lift_stores(store, files)
        self._lifts = (store, files, lifted)
        return lifted

    def _turns(self) -> Runner:
        if self._runner is None:
            self._runner = Runner(self.stream_log or self._store().stream_log() or MemoryStreamLog(), self)
        return self._runner

    def keeps_pending_items(self, *, cancelled: bool) -> bool:
        """Tells whether the hook for stopped or failed turns is the one of this class."""
        name = "handle_stream_cancelled" if cancelled else "handle_stream_error"
        return getattr(type(self), name) is getattr(ChatKitServer, name)

    async def _recover_now_and_then(self) -> None:
        if time.monotonic() - self._recovered_at >= _RECOVER_EVERY:
            await self.recover()

    def _planner(self, context: TContext) -> Planner:
        return Planner(
            self, self._store(), context, handles_actions=type(self).action is not ChatKitServer.action
        )

    async def _answer(self, request: NonStreamingReq, context: TContext) -> bytes:
        turns = self._turns()
        operations = Operations(self._store(), turns, context)
        match request:
            case ThreadsGetByIdReq(params=params):
                await turns.finalise_orphans(params.thread_id, self._store(), context)
                return await operations.get_thread(params.thread_id)
            case ThreadsListReq(params=params):
                return await operations.list_threads(params)
            case ItemsListReq(params=params):
                await turns.finalise_orphans(params.thread_id, self._store(), context)
                return await operations.list_items(params)
            case ItemsFeedbackReq(params=params):
                return await operations.feedback(params, self.add_feedback)
            case AttachmentsCreateReq(params=params):
                return await operations.create_attachment(params, self._files())
            case AttachmentsDeleteReq(params=params):
                return await operations.delete_attachment(params.attachment_id, self._files())
            case ThreadsUpdateReq(params=params):
                return await operations.rename(params)
            case ThreadsDeleteReq(params=params):
                return await operations.delete_thread(params.thread_id)
            case InputTranscribeReq(params=params):
                return await operations.transcribe(params, self.transcribe)
            case TurnsStopReq(params=params):
                await self._store().load_thread(params.thread_id, context)
                stopped = await turns.stop(params.thread_id, params.turn_id)
                return json.dumps({"stopped": stopped}, separators=(",", ":")).encode()
            case _:
                overridden = type(self).sync_action is not ChatKitServer.sync_action
                return await operations.sync_action(
                    request.params, self._planner(context), self.sync_action if overridden else None
                )

    async def _stream(self, request: StreamingReq, context: TContext) -> StreamingResult:
        if isinstance(request, TurnsResumeReq):
            return await self._resume(request, context)
        planner = self._planner(context)
        if not isinstance(request, ThreadsCreateReq):
            await self._turns().finalise_orphans(request.params.thread_id, self._store(), context)
        match request:
            case ThreadsCreateReq(params=params):
                return await self._message(request, await planner.create(params), context)
            case ThreadsAddUserMessageReq(params=params):
                return await self._message(request, await planner.add_user_message(params), context)
            case ThreadsRetryAfterItemReq(params=params):
                plan = await planner.retry(params)
                if self.concurrency != "reject":
                    # Whatever still runs in the thread writes behind the item that everything is deleted after.
                    stopped = await self._turns().stop(params.thread_id, reason="interrupt")
                    plan = await planner.retry(params) if stopped else plan
            case ThreadsAddClientToolOutputReq(params=params):
                plan = await planner.add_client_tool_output(params)
            case ThreadsAddStructuredInputReq(params=params):
                plan = await planner.add_structured_input(params)
            case ThreadsCustomActionReq(params=params):
                plan = await planner.custom_action(params)
        return await self._start(plan, context, turn_id=new_id("turn"), resumable=_is_resumable(request))

    async def _start(
        self, plan: TurnPlan, context: TContext, *, turn_id: str, resumable: bool, kept: bool = False
    ) -> StreamingResult:
        store = self._store()
        return await self._turns().start(
            plan,
            turn_id=turn_id,
            store=store,
            context=context,
            owner=_owner(store, context),
            resumable=resumable,
            kept=kept,
            on_disconnect=self.on_disconnect,
            concurrency=self.concurrency,
            persist_item_updates=self.persist_item_updates,
        )

    async def _message(
        self,
        request: ThreadsCreateReq | ThreadsAddUserMessageReq,
        plan: TurnPlan,
        context: TContext,
    ) -> StreamingResult:
        resumable = _is_resumable(request)
        turn_id = new_id("turn")
        key = _idempotency_key(request)
        if key is None:
            return await self._start(plan, context, turn_id=turn_id, resumable=resumable)
        turns, store = self._turns(), self._store()
        owner = _owner(store, context)
        fingerprint = hashlib.sha256(request.model_dump_json().encode()).hexdigest()
        claim = await turns.log.claim_key(
            owner,
            key,
            KeyClaim(turn_id, plan.thread.id, fingerprint, fresh=True, user_item_id=plan.user_item_id),
        )
        if claim.fresh:
            try:
                return await self._start(plan, context, turn_id=turn_id, resumable=resumable, kept=True)
            except BaseException:
                await turns.log.release_key(owner, key)
                raise
        if claim.fingerprint != fingerprint:
            raise InvalidRequestError("This idempotency key was used for another message. Make a new key.")
        await turns.wait_begun(claim.turn_id)
        info = await turns.log.find(claim.turn_id)
        if info is not None:
            return await turns.attach(info, None, with_ids=resumable)
        created = isinstance(request, ThreadsCreateReq)
        try:
            return StreamingResult(
                await replay_from_store(store, claim, context, created=created, with_end=resumable)
            )
        except NotFoundError:
            # The message was deleted since, or its process died before it was stored: it is a new one.
            await turns.log.release_key(owner, key)
            return await self._message(request, plan, context)

    async def _resume(self, request: TurnsResumeReq, context: TContext) -> StreamingResult:
        thread_id, after = request.params.thread_id, request.params.after
        turns = self._turns()
        await self._store().load_thread(thread_id, context)
        if after is None:
            info = await turns.log.latest(thread_id)
            seq = None
        else:
            turn_id, seq = EventId.parse(after)
            info = await turns.log.find(turn_id)
        if info is None or info.thread_id != thread_id:
            raise TurnNotFoundError
        return await turns.attach(info, seq, with_ids=True)


def lift_stores(
    store: Store[Any] | SimpleStore, files: AttachmentStore[Any] | FileStore | None
) -> tuple[Store[Any], AttachmentStore[Any] | None]:
    """Returns full stores for what an application gave; full ones are returned as they are."""
    from chatkit.files.simple import lift_files
    from chatkit.store.simple import lift_store

    lifted = lift_store(store, files=files)
    return lifted, lift_files(files, store=lifted)


@cache
def _request_adapter() -> TypeAdapter[ChatKitReq]:
    return TypeAdapter(ChatKitReq)


def parse_request(body: str | bytes | bytearray) -> ChatKitReq:
    """Returns the request in a body.

    Raises:
        MalformedRequestError: The body is not JSON, or not of a type that the protocol knows.
        InvalidRequestError: The parameters are not valid.
    """
    try:
        return _request_adapter().validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        first = problems[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        if not place:
            raise MalformedRequestError(_malformed(str(first["type"]))) from None
        raise InvalidRequestError(f"{place}: {first['msg']}.") from None


def _malformed(kind: str) -> str:
    if kind == "json_invalid":
        return "The body is not valid JSON."
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return "The request's 'type' is missing or not one that this server knows."
    return MalformedRequestError.default_message


def _is_resumable(request: StreamingReq) -> bool:
    return request.metadata.get("resumable") is True


def _idempotency_key(request: StreamingReq) -> str | None:
    key = request.metadata.get("idempotency_key")
    if key is None:
        return None
    if not isinstance(key, str) or not 1 <= len(key) <= 255:
        raise InvalidRequestError("metadata.idempotency_key must be a text of 1 to 255 characters.")
    return key


def _owner(store: Store[Any], context: object) -> str | None:
    """Returns the tenant of a request, as the store sees it; by the usual field where the store knows none."""
    owner = store.owner(context)
    if owner is not None:
        return owner
    if isinstance(context, dict):
        found = cast("dict[str, object]", context).get("user_id")
    else:
        found = getattr(context, "user_id", None)
    return str(found) if found else None
