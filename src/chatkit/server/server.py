"""The server: takes a request's body and context, returns a JSON answer or a stream."""

from __future__ import annotations

import json
import math
import time
from inspect import isawaitable
from pathlib import Path
from typing import Any, cast

from typing_extensions import TypeVar

from chatkit._lifts import settled
from chatkit.errors import (
    ConfigurationError,
    TurnNotFoundError,
)
from chatkit.files.base import AttachmentStore
from chatkit.files.limits import DEFAULT_LIMITS, FileLimits
from chatkit.files.simple import LiftedFileStore
from chatkit.ids import new_id
from chatkit.server.handlers import Handlers
from chatkit.server.operations import Operations
from chatkit.server.parsing import is_resumable, parse_request
from chatkit.server.plans import Planner
from chatkit.server.resends import Resends, owner_of
from chatkit.server.results import NonStreamingResult, StreamingResult
from chatkit.server.runner import ConcurrencyPolicy, DisconnectPolicy, Runner
from chatkit.server.turn import TurnPlan
from chatkit.store.base import Store
from chatkit.streams.base import EventId, InterruptedTurn, StreamLog
from chatkit.streams.memory import MemoryStreamLog
from chatkit.types import (
    AttachmentCreateParams,
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    FileStore,
    InputTranscribeReq,
    ItemsFeedbackReq,
    ItemsListReq,
    NonStreamingReq,
    StreamingReq,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsRetryAfterItemReq,
    ThreadsUpdateReq,
    TurnsResumeReq,
    TurnsStopReq,
    is_streaming_req,
)
from chatkit.types import Store as SimpleStore

__all__ = ["ChatKitServer"]

TContext = TypeVar("TContext", default=Any)

_RECOVER_EVERY = 10.0
"""Seconds after which a request looks for turns that another process left behind."""


class ChatKitServer(Handlers[TContext]):
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
        rerun_on_crash: How often a turn is begun again, from its message, after its worker died; for applications
            whose handlers may run twice, with :meth:`dump_context` and :meth:`load_context`. By default what such a
            turn had produced is kept, and its readers are told that it was interrupted.
        file_limits: What attachments are taken. By default 100 MiB a file and ten files a message, of any type; an
            ``AttachmentStore`` decides by itself unless limits are given.
    """

    stream_log: StreamLog | None = None
    on_disconnect: DisconnectPolicy = "stop"
    concurrency: ConcurrencyPolicy = "allow"
    persist_item_updates: bool = False
    rerun_on_crash: int = 0
    file_limits: FileLimits | None = None

    # Made on first use: a subclass need not call __init__ of this class.
    _chatkit_runner: Runner | None = None
    _chatkit_recovered_at: float = -math.inf

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
        rerun_on_crash: int = 0,
        file_limits: FileLimits | None = None,
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
        self.rerun_on_crash = rerun_on_crash
        self.file_limits = file_limits

    @property
    def file_store(self) -> AttachmentStore[TContext] | None:
        """Same as ``attachment_store``."""
        return self.attachment_store

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
        await self._chatkit_recover_now_and_then()
        if is_streaming_req(parsed):
            return await self._chatkit_stream(parsed, context)
        return NonStreamingResult(await self._chatkit_answer(parsed, context))

    async def upload_attachment(
        self, params: AttachmentCreateParams, source: Path, context: TContext
    ) -> NonStreamingResult:
        """Takes a file that a page posted to the application (direct upload) and answers its attachment.

        Args:
            params: What the page says of the file.
            source: The file, which may be moved away.
            context: As for :meth:`process`.

        Raises:
            RequestError: The file is not taken, or is not what the page says. Nothing was kept.
            UnsupportedOperationError: The attachment store takes two-phase uploads only.
        """
        return NonStreamingResult(await self._chatkit_operations(context).upload_attachment(params, source))

    async def sweep_orphans(self) -> int:
        """Deletes uploaded files that no message came for in time. Returns how many there were.

        The applications of ``chatkit.web`` do so now and then.
        """
        files = self._chatkit_files()
        return 0 if files is None else await files.sweep_orphans()

    @property
    def max_upload_bytes(self) -> int | None:
        """Bytes of an uploaded file at most; None for any number."""
        limits = self._chatkit_effective_file_limits()
        return None if limits is None else limits.max_bytes

    async def recover(self) -> int:
        """Ends turns that a crash cut off: what they had produced is stored, or they are run again.

        The applications of ``chatkit.web`` do so at their start and every few seconds.

        Returns:
            How many there were.
        """
        self._chatkit_recovered_at = time.monotonic()
        turns = self._chatkit_turns()
        if turns.shutting_down:
            return 0
        return await turns.recovery.recover(
            self._chatkit_store(), self.recovery_context, self._chatkit_run_again
        )

    @property
    def sweep_seconds(self) -> float:
        """Seconds between two calls of :meth:`recover` that an application had better make."""
        return self._chatkit_turns().log.sweep_seconds

    async def drain(self, seconds: float) -> None:
        """Takes no new turns, gives running ones some time to end, then does what :meth:`shutdown` does.

        Args:
            seconds: How long to wait for running turns at most.
        """
        await self._chatkit_turns().drain(seconds)

    async def shutdown(self) -> None:
        """Ends all running turns as interrupted, their partial answers stored and their readers told."""
        await self._chatkit_turns().shutdown()

    async def close(self) -> None:
        """Shuts down, then releases what log and store hold. The server can be used again afterwards."""
        turns = self._chatkit_turns()
        await turns.shutdown()
        await turns.log.close()
        # A store written for openai-chatkit may have a method of this name that is not async.
        await settled(self._chatkit_store().close())
        turns.reopen()

    async def check(self) -> None:
        """Raises if requests cannot be served: the store does not answer."""
        await self._chatkit_store().check()

    def check_workers(self, workers: int) -> None:
        """Raises ConfigurationError if so many workers cannot serve together: their stream log is not shared."""
        log = self._chatkit_turns().log
        if workers > 1 and not log.shared:
            raise ConfigurationError(
                f"{workers} workers cannot share {type(log).__name__}: a turn could not be resumed or stopped from "
                "another worker. Run one worker (--workers 1, WEB_CONCURRENCY=1), or give the server a log that "
                "workers share: ChatKitServer(..., stream_log=...)."
            )

    # How it is done.

    def _chatkit_effective_file_limits(self) -> FileLimits | None:
        if self.file_limits is None and isinstance(self._chatkit_files(), LiftedFileStore):
            return DEFAULT_LIMITS
        return self.file_limits

    def _chatkit_operations(self, context: TContext) -> Operations:
        return Operations(
            self._chatkit_store(),
            self._chatkit_turns(),
            context,
            self._chatkit_files(),
            self._chatkit_effective_file_limits(),
        )

    def _chatkit_turns(self) -> Runner:
        if self._chatkit_runner is None:
            self._chatkit_runner = Runner(
                self.stream_log or self._chatkit_store().stream_log() or MemoryStreamLog(), self
            )
        return self._chatkit_runner

    def keeps_pending_items(self, *, cancelled: bool) -> bool:
        """Tells whether the hook for stopped or failed turns is the one of this class."""
        name = "handle_stream_cancelled" if cancelled else "handle_stream_error"
        return getattr(type(self), name) is getattr(ChatKitServer, name)

    async def _chatkit_recover_now_and_then(self) -> None:
        # Where nothing else does so in the background.
        if time.monotonic() - self._chatkit_recovered_at >= max(self.sweep_seconds, _RECOVER_EVERY):
            await self.recover()

    async def _chatkit_run_again(self, turn: InterruptedTurn) -> bool:
        """Begins a turn of a worker that died again, if the application wants that; tells whether it did."""
        saved = turn.info.context
        if saved is None or turn.stop or turn.info.attempt > self.rerun_on_crash:
            return False
        loaded = self.load_context(json.loads(saved))
        context = cast("TContext", await loaded if isawaitable(loaded) else loaded)
        log, thread_id = self._chatkit_turns().log, turn.info.thread_id
        others = {
            info.id
            for info in (*await log.active(thread_id), await log.latest(thread_id))
            if info is not None
        }
        plan = await self._chatkit_planner(context).run_again(turn.info)
        return plan is not None and await self._chatkit_turns().begin_again(
            turn,
            plan,
            store=self._chatkit_store(),
            context=context,
            persist_item_updates=self.persist_item_updates,
            alone=others <= {turn.info.id},
            may_move=turn.info.attempt < self.rerun_on_crash,
        )

    def _chatkit_saved_context(
        self, plan: TurnPlan, context: TContext, *, outlives_reader: bool
    ) -> str | None:
        # A turn that its reader's disconnect stops has been stopped by the death of the worker it was read from.
        if self.rerun_on_crash < 1 or not plan.message or not outlives_reader:
            return None
        data = self.dump_context(context)
        return None if data is None else json.dumps(data)

    def _chatkit_planner(self, context: TContext) -> Planner:
        return Planner(
            self,
            self._chatkit_store(),
            context,
            handles_actions=type(self).action is not ChatKitServer.action,
            files=self._chatkit_files(),
            limits=self._chatkit_effective_file_limits(),
        )

    async def _chatkit_answer(self, request: NonStreamingReq, context: TContext) -> bytes:
        turns = self._chatkit_turns()
        operations = self._chatkit_operations(context)
        match request:
            case ThreadsGetByIdReq(params=params):
                await turns.recovery.finalise_orphans(params.thread_id, self._chatkit_store(), context)
                return await operations.get_thread(params.thread_id)
            case ThreadsListReq(params=params):
                return await operations.list_threads(params)
            case ItemsListReq(params=params):
                await turns.recovery.finalise_orphans(params.thread_id, self._chatkit_store(), context)
                return await operations.list_items(params)
            case ItemsFeedbackReq(params=params):
                return await operations.feedback(params, self.add_feedback)
            case AttachmentsCreateReq(params=params):
                return await operations.create_attachment(params)
            case AttachmentsDeleteReq(params=params):
                return await operations.delete_attachment(params.attachment_id)
            case ThreadsUpdateReq(params=params):
                return await operations.rename(params)
            case ThreadsDeleteReq(params=params):
                return await operations.delete_thread(params.thread_id)
            case InputTranscribeReq(params=params):
                return await operations.transcribe(params, self.transcribe)
            case TurnsStopReq(params=params):
                await self._chatkit_store().load_thread(params.thread_id, context)
                stopped = await turns.stop(params.thread_id, params.turn_id)
                return json.dumps({"stopped": stopped}, separators=(",", ":")).encode()
            case _:
                overridden = type(self).sync_action is not ChatKitServer.sync_action
                return await operations.sync_action(
                    request.params, self._chatkit_planner(context), self.sync_action if overridden else None
                )

    async def _chatkit_stream(self, request: StreamingReq, context: TContext) -> StreamingResult:
        if isinstance(request, TurnsResumeReq):
            return await self._chatkit_resume(request, context)
        planner = self._chatkit_planner(context)

        async def begin(request: StreamingReq, plan: TurnPlan, turn_id: str | None) -> StreamingResult:
            return await self._chatkit_begin(
                request, plan, context, turn_id=turn_id, kept=turn_id is not None
            )

        resends = Resends(self._chatkit_turns(), self._chatkit_store(), context, begin)
        if not isinstance(request, ThreadsCreateReq):
            await self._chatkit_turns().recovery.finalise_orphans(
                request.params.thread_id, self._chatkit_store(), context
            )
        match request:
            case ThreadsCreateReq(params=params):
                return await resends.once(request, lambda: planner.create(params))
            case ThreadsAddUserMessageReq(params=params):
                return await resends.once(request, lambda: planner.add_user_message(params))
            case ThreadsCustomActionReq(params=params):
                return await resends.once(request, lambda: planner.custom_action(params))
            case _:
                pass
        # Sent twice at once, the second one finds what the first one did.
        async with self._chatkit_turns().answering.hold(request.params.thread_id):
            match request:
                case ThreadsRetryAfterItemReq(params=params):
                    plan = await planner.retry(params)
                    if self.concurrency != "reject":
                        # Whatever still runs in the thread writes behind the item that everything is deleted after.
                        stopped = await self._chatkit_turns().stop(params.thread_id, reason="interrupt")
                        plan = await planner.retry(params) if stopped else plan
                case ThreadsAddClientToolOutputReq(params=params):
                    plan = await planner.add_client_tool_output(params)
                case ThreadsAddStructuredInputReq(params=params):
                    return await resends.once(request, lambda: planner.add_structured_input(params))
            return await self._chatkit_begin(request, plan, context)

    async def _chatkit_begin(
        self,
        request: StreamingReq,
        plan: TurnPlan,
        context: TContext,
        *,
        turn_id: str | None = None,
        kept: bool = False,
    ) -> StreamingResult:
        store, resumable = self._chatkit_store(), is_resumable(request)
        return await self._chatkit_turns().start(
            plan,
            turn_id=turn_id or new_id("turn"),
            store=store,
            context=context,
            owner=owner_of(store, context),
            resumable=resumable,
            kept=kept,
            on_disconnect=self.on_disconnect,
            concurrency=self.concurrency,
            persist_item_updates=self.persist_item_updates,
            saved_context=self._chatkit_saved_context(
                plan, context, outlives_reader=resumable or self.on_disconnect == "continue"
            ),
        )

    async def _chatkit_resume(self, request: TurnsResumeReq, context: TContext) -> StreamingResult:
        thread_id, after = request.params.thread_id, request.params.after
        turns = self._chatkit_turns()
        await self._chatkit_store().load_thread(thread_id, context)
        if after is None:
            info = await turns.log.latest(thread_id)
            seq = None
        else:
            turn_id, seq = EventId.parse(after)
            info = await turns.log.find(turn_id)
        if info is None or info.thread_id != thread_id:
            raise TurnNotFoundError
        return await turns.attach(info, seq, with_ids=True)
