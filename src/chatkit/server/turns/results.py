"""What ``process()`` returns: a JSON body, or a stream of server-sent events read from a turn's log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from chatkit._outages import log_failure
from chatkit.errors import RequestError
from chatkit.server.turns.ending import refusal
from chatkit.server.turns.turn import Turn
from chatkit.server.wire import INTERRUPTED, end_frame, is_error
from chatkit.sse import encode_event
from chatkit.streams.base import EndState, LogEntry, TurnInfo, TurnReader
from chatkit.streams.following import RemoteReader
from chatkit.types import ErrorEvent, to_wire

if TYPE_CHECKING:
    from chatkit.server.turns.background import LateTitle
    from chatkit.server.turns.registry import TurnRegistry

__all__ = ["NonStreamingResult", "ResentFeed", "StreamingResult", "TurnFeed"]

logger = logging.getLogger("chatkit.server")

_UNREAD_SECONDS: Final = 5.0
"""Time after which a stream that is not read counts as disconnected."""
_LATE_SECONDS: Final = 1.0
"""Time by which a timer is late only where the loop stood still."""


class TurnFeed:
    """One reader of a turn, as frames.

    Args:
        turns: The turns of the server.
        reader: Reads the log.
        info: The turn.
        with_ids: Whether frames carry event ids and the stream says by ``turn.end`` that the turn has ended.
        after: Number of the last event that the reader has already.
        turn: The turn itself, for its first reader; None for one that comes back.
        stops_turn: Whether the turn stops when this reader leaves early.
    """

    def __init__(
        self,
        turns: TurnRegistry,
        reader: TurnReader,
        info: TurnInfo,
        *,
        with_ids: bool,
        after: int = 0,
        turn: Turn | None = None,
        stops_turn: bool = False,
    ) -> None:
        self.info = info
        self.with_ids = with_ids
        self._reader = reader
        self._turn = turn
        self._stops_turn = stops_turn
        self._turns = turns
        self._id_head = b"id: " + info.id.encode() + b":"
        self._left = False
        self._held: list[LogEntry] = []
        self._late_title: LateTitle | None = None
        self._unread: asyncio.TimerHandle | None = None
        # What the reader has got so far, which the end mark's id says too: a cursor when nothing follows any more.
        self._last_seq = after

    def expect_reader(self) -> None:
        """Gives up a stream that is not read within a while from now on: ``process()`` returns it."""
        turn = self._turn
        if turn is not None and not turn.task.done() and (self._stops_turn or not self.info.resumable):
            self._wait_for_reader()
            turn.task.add_done_callback(lambda _: self._begin())

    def _wait_for_reader(self) -> None:
        loop = asyncio.get_running_loop()
        self._unread = loop.call_later(_UNREAD_SECONDS, self._abandon, loop.time() + _UNREAD_SECONDS)

    async def tells_something(self) -> bool:
        """Waits until the turn has sent anything but errors; returns False if it ends without that.

        What it has sent is kept for ``frames`` and ``batches``.
        """
        async for entries in self._reader:
            self._held += entries
            if not all(is_error(data) for _, data in entries):
                return True
        return False

    @property
    def source(self) -> str:
        """Where its events come from: the ``"memory"`` of this process, or the ``"log"`` that workers share."""
        return "log" if isinstance(self._reader, RemoteReader) else "memory"

    @property
    def end(self) -> EndState | None:
        """How the turn ended, once it was read to its end."""
        return self._reader.end

    @property
    def is_uncertain(self) -> bool:
        """Whether the log did not say how the turn ended, once it was read to the end of what there was."""
        return self._reader.end is None or self._reader.gave_up

    async def _entries(self) -> AsyncGenerator[list[LogEntry], None]:
        held, self._held = self._held, []
        if held:
            yield held
        async for entries in self._reader:
            self._last_seq = entries[-1].seq
            yield entries
        # Who reads with ids comes back by itself.
        if self._reader.end is None and not self.with_ids and await self._goes_on_elsewhere():
            async for entries in self._reader:
                yield entries

    async def _goes_on_elsewhere(self) -> bool:
        """Returns whether there is a reader now for the rest of a turn that another worker has taken over."""
        try:
            reader = await self._turns.read_on(self.info, self._last_seq)
        except Exception as error:  # noqa: BLE001 -- it is logged
            log_failure(
                logger, f"Turn {self.info.id}, which another worker has taken over, cannot be read", error
            )
            return False
        if reader is None:
            return False
        await self._reader.aclose()
        self._reader = reader
        return True

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yields one frame a chunk."""
        self._begin()
        try:
            async for entries in self._entries():
                if self.with_ids:
                    for entry in entries:
                        yield self._frame(entry)
                else:
                    for _, data in entries:
                        yield b"data: " + data + b"\n\n"
            last = self._last_frame()
            if last is not None:
                yield last
            await self._settle()
            if self._late_title is not None and (event := await self._late_title.told()) is not None:
                yield encode_event(event)
        finally:
            await self.leave()

    async def batches(self, max_delay: float) -> AsyncGenerator[bytes, None]:
        """Yields the frames that are ready together as one chunk, chunks at least ``max_delay`` seconds apart."""
        self._begin()
        clock = asyncio.get_running_loop().time
        last = -max_delay
        try:
            async for entries in self._entries():
                wait = last + max_delay - clock()
                if wait > 0:
                    await asyncio.sleep(wait)
                    entries = entries + self._reader.ready()  # noqa: PLW2901
                yield b"".join(map(self._frame, entries))
                last = clock()
            last = self._last_frame()
            if last is not None:
                yield last
            await self._settle()
            if self._late_title is not None and (event := await self._late_title.told()) is not None:
                yield encode_event(event)
        finally:
            await self.leave()

    async def leave(self) -> None:
        """Ends reading. Where that stops the turn, waits for its clean-up. Idempotent."""
        if self._left:
            return
        self._left = True
        self._begin()
        await self._reader.aclose()
        turn = self._turn
        if turn is None or turn.task.done():
            return
        if not self.info.resumable:
            turn.writer.detach()
        if self._stops_turn:
            turn.request_stop("disconnect")
            await asyncio.shield(turn.task)

    def let_run(self) -> None:
        """Says that nobody reads this stream, and that the turn runs on all the same."""
        self._begin()
        self._stops_turn = False

    def interrupt(self) -> bool:
        """Ends the turn as interrupted where leaving it would stop it; returns False for one that outlives its reader.

        The stream then comes to its end by itself.
        """
        if self._turn is None or not self._stops_turn:
            return False
        self._turn.request_stop("shutdown")
        return True

    def _begin(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _abandon(self, due: float) -> None:
        if self._turn is None:
            return
        if asyncio.get_running_loop().time() - due > _LATE_SECONDS:
            # The loop stood still, and with it the reader.
            self._wait_for_reader()
            return
        self._turn.writer.detach()
        if self._stops_turn:
            self._turn.request_stop("disconnect")

    async def _settle(self) -> None:
        turn = self._turn
        if turn is None:
            return
        await asyncio.shield(turn.task)
        if turn.cancelled is not None and turn.loop.is_closed():
            raise RuntimeError(
                "The event loop in which process() ran was closed before its stream was read, which ended the answer. "
                "Read the stream in the same loop."
            ) from turn.cancelled
        if turn.cancelled is not None:
            raise turn.cancelled

    def _frame(self, entry: LogEntry) -> bytes:
        if self.with_ids and entry.seq:
            self._last_seq = entry.seq
            return b"%b%d\ndata: %b\n\n" % (self._id_head, entry.seq, entry.data)
        return b"data: " + entry.data + b"\n\n"

    def _last_frame(self) -> bytes | None:
        """Returns the last frame of the turn; where the thread's title is still being made, that may follow."""
        end, frame = self._reader.end, b""
        if self._reader.gave_up or (end is None and not self.with_ids):
            frame = b"data: " + INTERRUPTED + b"\n\n"
        # Without an end the turn continues in another worker, where a reader with ids finds it.
        if self.with_ids and end is not None:
            late = self._turns.background.titles.get(self.info.id)
            self._late_title = late if late is not None and late.is_awaited else None
            cursor = f"{self.info.id}:{self._last_seq}"
            frame += end_frame(self.info.id, end, cursor=cursor, awaits_title=self._late_title is not None)
        return frame or None


class ResentFeed:
    """Reads the turn of a message that was sent again, or another one in its place if that turn told nothing.

    Args:
        first: Reads the turn that the message began first.
        go_on: Returns the stream that replaces one that ended and told nothing but errors.
    """

    def __init__(self, first: TurnFeed, go_on: Callable[[TurnFeed], Awaitable[StreamingResult]]) -> None:
        self._first = first
        self._go_on = go_on
        self._next: StreamingResult | None = None

    @property
    def info(self) -> TurnInfo:
        return self._first.info if self._next is None else self._next.info or self._first.info

    @property
    def with_ids(self) -> bool:
        return self._first.with_ids

    async def frames(self) -> AsyncGenerator[bytes, None]:
        async for frame in await self._chosen(None):
            yield frame

    async def batches(self, max_delay: float) -> AsyncGenerator[bytes, None]:
        async for chunk in await self._chosen(max_delay):
            yield chunk

    async def _chosen(self, max_delay: float | None) -> AsyncGenerator[bytes, None]:
        first = self._first
        if await first.tells_something():
            return first.frames() if max_delay is None else first.batches(max_delay)
        try:
            self._next = await self._go_on(first)
        except Exception as error:  # noqa: BLE001 -- it is logged
            if not isinstance(error, RequestError):
                what = f"Turn {first.info.id} told nothing, and its message cannot be taken again"
                log_failure(logger, what, error)
            return self._refused(error)
        return self._next.json_events if max_delay is None else self._next.batches(max_delay=max_delay)

    async def _refused(self, error: Exception) -> AsyncGenerator[bytes, None]:
        if isinstance(error, RequestError):
            # The request would have been answered so had it been the first one.
            refused = refusal(error)
            event = ErrorEvent(code="custom", message=refused.message, allow_retry=refused.allow_retry)
            yield encode_event(to_wire(event))
            if self.with_ids:
                yield end_frame(self._first.info.id, EndState.FAILED)
            return
        async for frame in self._first.frames():
            yield frame

    def interrupt(self) -> bool:
        return self._first.interrupt() if self._next is None else self._next.interrupt()

    async def leave(self) -> None:
        await self._first.leave()
        if self._next is not None:
            await self._next.aclose()


class StreamingResult(AsyncIterable[bytes]):
    """A stream of server-sent events: iterating yields exactly one frame a chunk.

    Attributes:
        json_events: The generator that iterating reads.
        resumable: Whether its frames carry ids and the turn survives a disconnect.
    """

    def __init__(
        self, stream: AsyncGenerator[bytes, None], *, feed: TurnFeed | ResentFeed | None = None
    ) -> None:
        self.json_events = stream
        self._feed = feed
        self.resumable = feed is not None and feed.with_ids

    @property
    def info(self) -> TurnInfo | None:
        """What is known of the turn that is read; None where the store is read."""
        return self._feed.info if self._feed is not None else None

    @property
    def turn_id(self) -> str:
        """The turn that is read, empty where the store is."""
        return self._feed.info.id if self._feed is not None else ""

    @property
    def thread_id(self) -> str:
        """Its thread."""
        return self._feed.info.thread_id if self._feed is not None else ""

    @classmethod
    def of(cls, feed: TurnFeed | ResentFeed) -> StreamingResult:
        """Returns the stream that reads a turn."""
        return cls(feed.frames(), feed=feed)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.json_events

    def batches(self, *, max_delay: float = 0.002) -> AsyncGenerator[bytes, None]:
        """Yields the same bytes in fewer chunks, for a response that writes them to a socket.

        Args:
            max_delay: Seconds that chunks are apart at least; the first one, and one that comes later, never waits.
        """
        return self.json_events if self._feed is None else self._feed.batches(max_delay)

    def interrupt(self) -> bool:
        """Ends the turn as interrupted: for a reader that was cut off and did not leave by itself.

        Read on for the last events. Idempotent.

        Returns:
            False for a turn that outlives its reader: it continues, and so does its stream.
        """
        return self._feed is not None and self._feed.interrupt()

    def let_run(self) -> None:
        """Says that nobody will read the stream, and that the turn is to run on all the same."""
        if isinstance(self._feed, TurnFeed):
            self._feed.let_run()

    async def aclose(self) -> None:
        """Ends reading, as a disconnect does. Idempotent."""
        await self.json_events.aclose()
        if self._feed is not None:
            await self._feed.leave()


class NonStreamingResult:
    """The answer to a request that is not streamed.

    Attributes:
        json: The body, JSON in UTF-8.
    """

    def __init__(self, result: bytes) -> None:
        self.json = result
