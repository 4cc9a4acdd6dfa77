"""What ``process()`` returns: a JSON body, or a stream of server-sent events read from a turn's log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Final

from chatkit.server.turn import Turn
from chatkit.server.wire import interrupted_event
from chatkit.sse import encode_event
from chatkit.streams.base import EndState, LogEntry, TurnInfo, TurnReader
from chatkit.types import to_wire

__all__ = ["NonStreamingResult", "StreamingResult", "TurnFeed", "end_frame"]

_INTERRUPTED: Final = to_wire(interrupted_event())
_UNREAD_LIMIT: Final = 5.0
"""Seconds after which a stream that nobody began to read counts as disconnected."""


class TurnFeed:
    """One reader of a turn, as frames.

    Args:
        reader: Reads the log.
        info: The turn.
        with_ids: Whether frames carry event ids and the stream ends with ``turn.end``.
        after: Number of the last event that the reader has already.
        turn: The turn itself, for its first reader; None for one that comes back.
        stops_turn: Whether the turn stops when this reader leaves early.
    """

    def __init__(
        self,
        *,
        reader: TurnReader,
        info: TurnInfo,
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
        self._id_head = b"id: " + info.id.encode() + b":"
        self._left = False
        self._unread: asyncio.TimerHandle | None = None
        # What the reader has got so far, which the end mark's id says too: a cursor when nothing follows any more.
        self._last_seq = after
        if turn is not None and (stops_turn or not info.resumable):
            self._unread = asyncio.get_running_loop().call_later(_UNREAD_LIMIT, self._abandon)
            turn.task.add_done_callback(lambda _: self._begin())

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yields one frame a chunk."""
        self._begin()
        try:
            async for entries in self._reader:
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
        finally:
            await self.leave()

    async def batches(self, max_delay: float) -> AsyncGenerator[bytes, None]:
        """Yields the frames that are ready together as one chunk, chunks at least ``max_delay`` seconds apart."""
        self._begin()
        clock = asyncio.get_running_loop().time
        last = -max_delay
        try:
            async for entries in self._reader:
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

    def _begin(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _abandon(self) -> None:
        if self._turn is None:
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
        end = self._reader.end
        if self.with_ids:
            # Without an end the turn goes on in another worker, where this reader finds it.
            cursor = f"{self.info.id}:{self._last_seq}"
            return None if end is None else end_frame(self.info.id, end, cursor=cursor)
        return b"data: " + _INTERRUPTED + b"\n\n" if end is None else None


def end_frame(turn_id: str, status: EndState, *, cursor: str | None = None) -> bytes:
    """Returns the last frame of a resumable stream: how the turn ended."""
    data = json.dumps({"turn_id": turn_id, "status": status.value}, separators=(",", ":"))
    return encode_event(data.encode(), id=cursor, event="turn.end")


class StreamingResult(AsyncIterable[bytes]):
    """A stream of server-sent events: iterating yields exactly one frame a chunk.

    Attributes:
        json_events: The generator that iterating reads.
        resumable: Whether its frames carry ids and the turn survives a disconnect.
        turn_id: The turn.
        thread_id: Its thread.
    """

    def __init__(self, stream: AsyncGenerator[bytes, None], *, feed: TurnFeed | None = None) -> None:
        self.json_events = stream
        self._feed = feed
        self.resumable = feed is not None and feed.with_ids
        self.turn_id = feed.info.id if feed is not None else ""
        self.thread_id = feed.info.thread_id if feed is not None else ""

    @classmethod
    def of(cls, feed: TurnFeed) -> StreamingResult:
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
