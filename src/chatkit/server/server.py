"""ChatKitServer: answers a request with JSON or a stream."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from typing_extensions import TypeVar

from chatkit._checks import check_annotated, check_whole, shown
from chatkit._tasks import maybe_await
from chatkit._unicode import well_formed
from chatkit.audit import Auditing, AuditLog
from chatkit.counters import Counter, MemoryCounter
from chatkit.dialects.openai_chatkit.store import accepting_store
from chatkit.dialects.reference.files import FileStoreAdapter
from chatkit.errors import ConfigurationError
from chatkit.files.base import AttachmentStore
from chatkit.files.limits import DEFAULT_LIMITS, FileLimits
from chatkit.limits import Limits
from chatkit.logs import about
from chatkit.quotas import FILE_QUOTAS
from chatkit.server.auditing import auditing_of, is_audited
from chatkit.server.blocking import watch_loop
from chatkit.server.bounds import check_upload
from chatkit.server.kept_data import KeptData
from chatkit.server.parsing import parse_request
from chatkit.server.requests import HANDLERS
from chatkit.server.requests.attachments import sweep, upload
from chatkit.server.requests.taking_over import TakingOver
from chatkit.server.scope import RequestScope
from chatkit.server.turns.registry import ConcurrencyPolicy, DisconnectPolicy, TurnRegistry
from chatkit.server.turns.results import NonStreamingResult, StreamingResult
from chatkit.server.turns.usage import bounded_files
from chatkit.store.base import Store
from chatkit.streams.base import StreamLog
from chatkit.streams.memory import MemoryStreamLog
from chatkit.types import AttachmentCreateParams, ChatKitReq, FileStore, ThreadMetadata
from chatkit.types import Store as SimpleStore
from chatkit.usage import ANY_MODEL, PriceTable

if TYPE_CHECKING:
    from chatkit.personal_data import RetentionRule

__all__ = ["ChatKitServer"]

TContext = TypeVar("TContext", default=Any)

logger = logging.getLogger("chatkit.server")

_OPTIONS: Final[dict[str, Any]] = {
    "stream_log": StreamLog | None,
    "on_disconnect": DisconnectPolicy,
    "concurrency": ConcurrencyPolicy,
    "persist_item_updates": bool,
    "rerun_on_crash": int,
    "file_limits": FileLimits | None,
    "limits": Limits | None,
    "counter": Counter | None,
}

_SWEEP_DELAY_SECONDS = 600.0
"""How long the record of an attachment outlives its file, which a message may be claiming just now."""

_RECOVER_SECONDS = 10.0
"""How long after the last recovery a request does the next one."""


class ChatKitServer(KeptData[TContext]):
    """Base of an application's server: override :meth:`respond`.

    Args:
        store: Keeps threads and items: a full :class:`chatkit.store.Store`, or a :class:`chatkit.types.Store`.
        attachment_store: Keeps attachments: an :class:`chatkit.files.AttachmentStore` or a
            :class:`chatkit.types.FileStore`.
        file_store: The same under the reference's name.
        stream_log: Keeps the events of running turns; by default the one that suits the store.
        on_disconnect: What happens to a turn that is not resumable when its reader is gone: ``"stop"``, by default,
            or ``"continue"``.
        concurrency: What a message does in a thread in which a turn runs: ``"allow"``, by default, ``"reject"``,
            ``"enqueue"`` or ``"interrupt"``. A subclass may have these options as attributes, too.
        persist_item_updates: Whether updates of items of earlier turns are stored.
        rerun_on_crash: How often a turn is begun again after its worker died, for applications whose handlers may run
            twice, but for what they do by :func:`chatkit.server.journal.step`; with :meth:`dump_context` and
            :meth:`load_context`. By default what such a turn had produced is kept, and its readers are told that it
            was interrupted.
        file_limits: What attachments are taken. By default 100 MiB a file and ten files a message, of any type; an
            ``AttachmentStore`` decides by itself unless limits are given.
        limits: Bounds on what requests may hold and owners may keep running; None is ``Limits()``, which
            ``create_app`` and ``chatkit serve`` extend by the usual ones per owner.
        counter: Counts what quotas of ``limits`` bound; by default in the database of the store, where it is one of
            this package, else in this process.
        model_prices: What a million tokens cost, by model: ``chatkit.usage.ModelPrice``, or mappings of its fields.
        audit: Where refused sign-ins, deletions and changes of limits are recorded: a ``chatkit.audit.AuditLog``, or a
            ``chatkit.audit.Auditing``, which says more; True for the database of the store. By default nowhere.
        retention: How long threads are kept in which nothing happens; by default for ever.

    Raises:
        ConfigurationError: An option is none of those that there are, or not of its kind.
    """

    # Made on first use: a subclass need not call __init__ of this class.
    _chatkit_runner: TurnRegistry | None = None
    _chatkit_recovered_at: float = -math.inf

    def __init__(
        self,
        store: Store[TContext] | SimpleStore,
        attachment_store: AttachmentStore[TContext] | FileStore | None = None,
        *,
        file_store: AttachmentStore[TContext] | FileStore | None = None,
        stream_log: StreamLog | None = None,
        on_disconnect: DisconnectPolicy | None = None,
        concurrency: ConcurrencyPolicy | None = None,
        persist_item_updates: bool | None = None,
        rerun_on_crash: int | None = None,
        file_limits: FileLimits | None = None,
        limits: Limits | None = None,
        counter: Counter | None = None,
        model_prices: PriceTable | None = None,
        audit: Auditing | AuditLog | bool | None = None,
        retention: Sequence[RetentionRule] | None = None,
    ) -> None:
        if attachment_store is not None and file_store is not None:
            raise ConfigurationError("Give either attachment_store= or file_store=, they mean the same.")
        self.store = cast("Store[TContext]", store)
        files = attachment_store if attachment_store is not None else file_store
        self.attachment_store = cast("AttachmentStore[TContext] | None", files)
        options = {
            "stream_log": stream_log,
            "on_disconnect": on_disconnect,
            "concurrency": concurrency,
            "persist_item_updates": persist_item_updates,
            "rerun_on_crash": rerun_on_crash,
            "file_limits": file_limits,
            "limits": limits,
            "counter": counter,
            "model_prices": model_prices,
            "audit": audit,
            "retention": retention,
        }
        # Only what is given: an application of openai-chatkit may have something else of that name.
        check_annotated(f"{type(self).__name__}(audit=...)", audit, Auditing | AuditLog | bool | None)
        for name, value in options.items():
            # What is not given stays as a subclass may have it.
            if value is not None:
                setattr(self, name, value)
        self._chatkit_check_options()

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
        with watch_loop():
            parsed = parse_request(request, self._chatkit_limits)
            await self._chatkit_store().admit(context)
            if time.monotonic() - self._chatkit_recovered_at >= max(self.sweep_seconds, _RECOVER_SECONDS):
                # Where nothing else does so in the background.
                await self.recover()
            scope = self._chatkit_scope(context, parsed)
            async with scope.use({"requests": 1}):
                # Counted whatever comes of it.
                pass
            with about(owner=scope.owner, thread=getattr(parsed.params, "thread_id", None)):
                answer = await HANDLERS[type(parsed)](scope, parsed.params)
        return NonStreamingResult(answer) if isinstance(answer, bytes) else answer

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
        with watch_loop():
            await self._chatkit_store().admit(context)
            params = well_formed(params)
            check_upload(params, self._chatkit_limits)
            return NonStreamingResult(await upload(self._chatkit_scope(context), params, source))

    async def sweep_orphans(self) -> int:
        """Deletes uploaded files that no message named in time, and their records; returns the number of files.

        The applications of ``chatkit.web`` do so now and then.
        """
        files = self._chatkit_files()
        if files is None:
            return 0
        with watch_loop():
            count = await files.sweep_orphans()
            if files.orphan_age is not None:
                await sweep(self._chatkit_store(), files, files.orphan_age + _SWEEP_DELAY_SECONDS)
        return count

    @property
    def max_upload_bytes(self) -> int | None:
        """Bytes of an uploaded file at most; None for any number."""
        limits = self._chatkit_file_limits()
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
        store = self._chatkit_store()
        with watch_loop():
            taking_over = TakingOver(self, store, self._chatkit_scope)
            count = await turns.recovery.recover(store, self.recovery_context, taking_over.run_again)
            accepting = accepting_store(store, whole=False)
            if accepting is not None:
                count += await turns.store_sweep.run(accepting, taking_over.begin_lapsed)
            await turns.indexing.run(store)
        return count

    @property
    def sweep_seconds(self) -> float:
        """Recommended seconds between two calls of :meth:`recover`."""
        return self._chatkit_turns().log.sweep_seconds

    async def drain(self, seconds: float) -> None:
        """Takes no new turns, gives running ones some time to end, then does what :meth:`shutdown` does.

        Args:
            seconds: How long to wait for running turns at most.
        """
        await self._chatkit_turns().drain(seconds)

    async def shutdown(self) -> None:
        """Ends all running turns as interrupted, their partial answers stored and their readers told."""
        await self._chatkit_turns().drain()

    async def close(self) -> None:
        """Shuts down, then releases what log and store hold. The server can be used again afterwards."""
        turns = self._chatkit_turns()
        await turns.drain()
        await turns.log.close()
        if self.counter is not None:
            await self.counter.close()
        if is_audited(self):
            await auditing_of(self).close()
        # A store written for openai-chatkit may have a method of this name that is not async.
        await maybe_await(self._chatkit_store().close())
        turns.shutting_down = False

    def run_beside(
        self, work: Awaitable[Any], *, name: str = "Work", seconds: float = 60.0
    ) -> asyncio.Task[None]:
        """Runs work in the background, for :meth:`respond` and :meth:`action` to call: the answer does not wait for it.

        It may outlive the turn, and is cancelled when the server shuts down. Its errors are logged.

        Args:
            work: What is to be done: a coroutine, which may change what is stored.
            name: What it is, for the log.
            seconds: How long it may take.

        Returns:
            Its task, which never fails; there is no need to await it.
        """
        return self._chatkit_turns().background.run(work, name=name, seconds=seconds)

    def set_title_beside(
        self,
        thread: ThreadMetadata,
        title: Awaitable[str | None],
        context: TContext,
        *,
        seconds: float = 60.0,
    ) -> asyncio.Task[None]:
        """Gives a thread a title that is made in the background, by a model perhaps; see :meth:`run_beside`.

        The page gets it as soon as it is ready, by the turn's stream: a resumable one goes on until the title is told,
        though the turn has ended before. A thread that has a title by then, from the user perhaps, keeps it. None is
        made where the context says ``automatic_thread_titling = False``, as that of hosted ChatKit does for sessions
        that want none.

        Args:
            thread: The thread, as the handler got it.
            title: A coroutine that returns the title; None, or an empty text, changes nothing.
            context: The request's context.
            seconds: How long it may take.
        """
        scope = self._chatkit_scope(context)
        return scope.turns.background.entitle(scope, thread.id, title, seconds=seconds)

    async def check(self) -> None:
        """Raises if requests cannot be served: the store does not answer."""
        with watch_loop():
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
        files = sorted({q.what for q in self._chatkit_limits.quotas} & FILE_QUOTAS)
        if files and bounded_files(self._chatkit_store()) is None:
            raise ConfigurationError(
                f"The quota of {files[0]} needs a store that knows what files there are, as those of this package do: "
                f"{type(self.store).__name__} is no chatkit.store.BoundedFiles."
            )
        if workers > 1 and self._chatkit_limits.quotas and not self._chatkit_counter().shared:
            raise ConfigurationError(
                f"{workers} workers would count the quotas each on its own. Give the server a counter that they share: "
                "ChatKitServer(..., counter=RedisCounter(...))."
            )

    # What the methods above are made of.

    def _chatkit_owner(self, context: TContext) -> str | None:
        owner = self._chatkit_store().owner(context)
        return self.turn_owner(context) if owner is None else owner

    def _chatkit_file_limits(self) -> FileLimits | None:
        if self.file_limits is None and isinstance(self._chatkit_files(), FileStoreAdapter):
            return DEFAULT_LIMITS
        return self.file_limits

    def _chatkit_scope(self, context: TContext, request: ChatKitReq | None = None) -> RequestScope:
        scope = RequestScope(
            application=self,
            store=self._chatkit_store(),
            files=self._chatkit_files(),
            file_limits=self._chatkit_file_limits(),
            limits=self._chatkit_limits,
            context=context,
            owner=self._chatkit_owner(context),
            turns=self._chatkit_turns(),
            counter=self._chatkit_counter() if self._chatkit_limits.quotas else None,
            request=request,
            price_of=self._chatkit_price_of,
            auditing=auditing_of(self) if is_audited(self) else None,
        )
        return scope if scope.counter is None else scope.with_place()

    def _chatkit_counter(self) -> Counter:
        if self.counter is None:
            # Also that of a store of ours which the application has changed.
            store = self.store if isinstance(cast("object", self.store), Store) else None
            self.counter = (None if store is None else store.quota_counter()) or MemoryCounter()
        return self.counter

    def _chatkit_check_options(self) -> None:
        """Raises ConfigurationError for a store or an option that cannot be used.

        They may be attributes of a class, or of an instance whose class does not call this one's constructor: so this
        is called again on first use.
        """
        name = type(self).__name__
        for option, annotation in _OPTIONS.items():
            check_annotated(f"{name}({option}=...)", getattr(self, option), annotation)
        check_whole(f"{name}(rerun_on_crash=...)", self.rerun_on_crash)
        self._chatkit_price_of(ANY_MODEL)
        if is_audited(self):
            auditing_of(self)
        for option in ("store", "attachment_store"):
            given: object = getattr(self, option, None)
            # Any object may be a store, as in openai-chatkit; these never are.
            if isinstance(given, (type, str, bytes, os.PathLike, Mapping)):
                example = "SQLiteStore()" if option == "store" else "LocalFileStore()"
                what = shown(cast("object", given))
                raise ConfigurationError(f"{name}({option}=...) is an object such as {example}, not {what}.")

    def _chatkit_turns(self) -> TurnRegistry:
        if self._chatkit_runner is None:
            self._chatkit_check_options()
            log = self.stream_log or self._chatkit_store().stream_log() or MemoryStreamLog()
            log.limit_kept_bytes(lambda: self._chatkit_limits)
            self._chatkit_runner = TurnRegistry(log)
            self._chatkit_runner.recover = self.recover
        return self._chatkit_runner
