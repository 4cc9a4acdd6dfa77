"""A stream of typed events that re-attaches when its connection breaks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self, TypeAlias, cast, get_args

import httpx2
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from chatkit._json import holds_too_many_values
from chatkit.client.errors import ServerError, StreamInterrupted, TransportError, UnexpectedAnswerError
from chatkit.client.transport import Transport, describe
from chatkit.client.view import TurnView
from chatkit.errors import NotFoundError, StoreUnavailableError
from chatkit.sse import MEDIA_TYPE, EventTooLargeError, ServerSentEvent, SSEDecoder
from chatkit.types import (
    BaseReq,
    ErrorEvent,
    Thread,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    TurnResumeParams,
    TurnsResumeReq,
)

__all__ = ["TurnStatus", "TurnStream"]

TurnStatus: TypeAlias = Literal["completed", "stopped", "failed", "interrupted"]
"""How a turn ended."""

_logger = logging.getLogger(__name__)
_events: Final[TypeAdapter[ThreadStreamEvent]] = TypeAdapter(ThreadStreamEvent)
_TURN_END: Final = "turn.end"
_STATUSES: Final = frozenset(get_args(TurnStatus))
_MAX_VALUES: Final = 200_000
_SHOWN_CHARACTERS: Final = 500


class _Read(NamedTuple):
    """An event that arrived, and the cursor after it."""

    event: ThreadStreamEvent | None
    cursor: str
    status: TurnStatus | None = None
    awaits_title: bool = False


class TurnStream(AsyncIterator[ThreadStreamEvent]):
    """The events of a turn as they happen.

    Use it as a context manager, which sends the request, and iterate::

        async with client.send_message(thread_id, "Hello") as stream:
            async for event in stream:
                ...

    A resumable turn goes on at the server when the context is left early; ``stop`` ends it. A connection that breaks
    is replaced by one that continues after the last event received, without a lost or doubled event.

    Attributes:
        thread_id: The turn's thread; None until ``thread.created`` arrives where the turn creates it.
        turn_id: The turn; None until its first event, and where the stream is not resumable.
        last_event_id: Cursor after the event that was yielded last, for a ``resume`` in another process.
        status: How the turn ended; None while it runs, and where the server does not say.
        awaits_title: Whether the server was still making a title for the thread when the turn had ended; ``get_thread``
            has it a little later.
    """

    def __init__(
        self,
        transport: Transport,
        request: BaseReq,
        *,
        thread_id: str | None,
        repeatable: bool,
        stop: Callable[[str, str | None], Awaitable[object]],
    ) -> None:
        self.thread_id = thread_id
        self.turn_id: str | None = None
        self.last_event_id: str | None = None
        self.status: TurnStatus | None = None
        self.awaits_title = False
        self._transport = transport
        self._request = request
        self._repeatable = repeatable
        self._stop = stop
        self._view = TurnView()
        self._ready: deque[_Read] = deque()
        self._reading = asyncio.Lock()
        self._response: httpx2.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._decoder = SSEDecoder(transport.max_bytes)
        # The cursor of a new connection; ahead of `last_event_id` by what is ready but not yet yielded.
        self._cursor: str = (request.params.after or "") if isinstance(request, TurnsResumeReq) else ""
        self._entered = False
        self._received = False
        self._came_back = False
        self._failures = 0
        self._over = False

    @property
    def items(self) -> list[ThreadItem]:
        """The items that the turn added or changed so far, in the order of their first appearance."""
        return self._view.items

    @property
    def text(self) -> str:
        """Text of the last assistant message so far; empty if there is none."""
        return self._view.text

    @property
    def thread(self) -> Thread | None:
        """The thread as the stream told it last, None if it did not."""
        return self._view.thread

    @property
    def error(self) -> ErrorEvent | None:
        """The last error event of the stream."""
        return self._view.error

    def item(self, item_id: str) -> ThreadItem | None:
        """Returns an item as it is now, or None if the turn has not touched it."""
        return self._view.item(item_id)

    async def __aenter__(self) -> Self:
        """Sends the request.

        Raises:
            ChatKitError: The error that the server reported; no turn began.
            TransportError: The server cannot be reached.
        """
        self._entered = True
        await self._open(self._request, repeatable=self._repeatable)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ThreadStreamEvent:
        """Returns the next event.

        Raises:
            StreamInterrupted: The connection broke and could not be restored.
        """
        while True:
            if not self._ready:
                if self._over:
                    raise StopAsyncIteration
                async with self._reading:
                    if not self._ready and not self._over:
                        await self._read_more()
                continue
            read = self._ready.popleft()
            self.last_event_id = read.cursor or self.last_event_id
            if read.event is None:
                self.status, self.awaits_title = read.status, read.awaits_title
                if self._came_back:
                    self._view.drop_unconfirmed()
                continue
            self._view.apply(read.event)
            return read.event

    async def until_done(self) -> Self:
        """Reads to the end of the turn and returns this stream, whose attributes then tell the outcome."""
        async for _ in self:
            pass
        return self

    async def stop(self) -> None:
        """Stops the turn; iterating on gives the events up to its end.

        Where the server does not number its events the connection is closed instead, which stops the turn.

        Raises:
            ChatKitError: The server refused.
        """
        # The ids come with the first events, which may still be on their way.
        while not self._over and not self._received:
            async with self._reading:
                if not self._over and not self._received:
                    await self._read_more()
        if self._over:
            return
        if self.turn_id is None or self.thread_id is None:
            await self.aclose()
        else:
            await self._stop(self.thread_id, self.turn_id)

    async def aclose(self) -> None:
        """Stops reading. Idempotent."""
        self._over = True
        await self._detach()

    async def _open(self, request: BaseReq, *, repeatable: bool) -> None:
        response = await self._transport.open(request, repeatable=repeatable)
        kind = response.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != MEDIA_TYPE:
            await response.aclose()
            raise UnexpectedAnswerError(
                f"{self._transport.url} answered with {kind[:100] or 'no content type'} instead of an event stream. "
                "Is the URL the chat's endpoint?"
            )
        self._response, self._chunks = response, response.aiter_bytes()
        self._decoder = SSEDecoder(self._transport.max_bytes)

    async def _detach(self) -> None:
        response, self._response, self._chunks = self._response, None, None
        if response is not None:
            await response.aclose()

    async def _read_more(self) -> None:
        """Waits until events are ready, the connection was replaced, or the stream is over."""
        if not self._entered:
            raise RuntimeError("Enter the stream first: async with client.send_message(...) as stream")
        failure: Exception | None = None
        try:
            async for chunk in self._chunks or _nothing():
                if self._take(self._decoder.feed(chunk)):
                    return
        except (httpx2.TransportError, httpx2.StreamError) as error:
            failure = error
        except (httpx2.DecodingError, EventTooLargeError) as error:
            # The same would come again.
            await self.aclose()
            raise UnexpectedAnswerError(f"The stream cannot be read: {describe(error)}.") from error
        except UnexpectedAnswerError:
            await self.aclose()
            raise
        except asyncio.CancelledError:
            # The connection cannot be read on after that; iterating on re-attaches.
            await self._detach()
            raise
        if self._over:
            return
        if failure is None and self._chunks is not None and self._received and not self._cursor:
            # A server that does not number its events ends a turn by closing the stream.
            await self.aclose()
            return
        await self._reattach(failure)

    def _take(self, frames: list[ServerSentEvent]) -> bool:
        for frame in frames:
            self._received = True
            if frame.id and frame.id != self._cursor:
                self._cursor = frame.id
                self._failures = 0
                self.turn_id = frame.id.rpartition(":")[0] or self.turn_id
            if frame.event == _TURN_END:
                self._ready.append(_end(frame.data, self._cursor))
                self._over = True
                return True
            event = _parse(frame)
            if event is None:
                continue
            if isinstance(event, ThreadCreatedEvent | ThreadUpdatedEvent):
                self.thread_id = event.thread.id
            self._ready.append(_Read(event, self._cursor))
        return bool(self._ready)

    async def _reattach(self, failure: Exception | None) -> None:
        """Opens a connection that continues after the cursor."""
        await self._detach()
        reason = describe(failure) if failure else "the connection was closed before the turn's end"
        while self._failures < self._transport.retries:
            request = self._continuation()
            if request is None:
                break
            await self._transport.pause(self._failures)
            self._failures += 1
            try:
                await self._open(request, repeatable=True)
            except (TransportError, ServerError, StoreUnavailableError) as error:
                failure, reason = error, describe(error)
            except NotFoundError as error:
                failure, reason = error, "the server no longer keeps the turn"
                break
            else:
                self._came_back = True
                return
        raise StreamInterrupted(
            f"The answer broke off before its end: {reason}.", last_event_id=self._cursor or None
        ) from failure

    def _continuation(self) -> BaseReq | None:
        """Returns the request that continues the stream, or None if none would without doubling events."""
        if self._cursor and self.thread_id is not None:
            return TurnsResumeReq(
                params=TurnResumeParams(thread_id=self.thread_id, after=self._cursor),
                metadata=self._request.metadata,
            )
        return self._request if self._repeatable and not self._received else None


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _end(data: str, cursor: str) -> _Read:
    """Returns what a server says of the end of a turn, as far as it can be read."""
    try:
        told: object = from_json(data)
    except ValueError:
        told = None
    fields = cast("dict[str, object]", told) if isinstance(told, dict) else {}
    status = fields.get("status")
    # Compared only if it is a text: a list cannot be looked up.
    is_known = isinstance(status, str) and status in _STATUSES
    known = cast("TurnStatus", status) if is_known else None
    return _Read(None, cursor, known, awaits_title=fields.get("awaits_title") is True)


def _parse(frame: ServerSentEvent) -> ThreadStreamEvent | None:
    """Returns the event, or None for one that this version does not know."""
    if len(frame.data) > _MAX_VALUES and holds_too_many_values(frame.data.encode(), _MAX_VALUES):
        raise UnexpectedAnswerError(f"The stream holds an event of more than {_MAX_VALUES} values.")
    try:
        event = _events.validate_json(frame.data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        if any(problem["type"] in {"union_tag_invalid", "union_tag_not_found"} for problem in problems):
            _logger.debug(
                "Skipped an event that this version does not know: %s", frame.data[:_SHOWN_CHARACTERS]
            )
            return None
        raise _no_event() from error
    # Handlers may write these in fewer words; servers send them whole.
    if isinstance(event, ThreadItemUpdatedEvent) and cast("object", event.update) is None:
        raise _no_event()
    if isinstance(event, ThreadItemDoneEvent) and cast("object", event.item) is None:
        raise _no_event()
    return event


def _no_event() -> UnexpectedAnswerError:
    return UnexpectedAnswerError("The stream holds a frame that is no event of the ChatKit protocol.")
