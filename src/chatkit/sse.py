"""Server-sent events: encoding frames, and decoding a byte stream of any chunking.

The format is the one of the HTML standard: lines end with LF, CR LF or CR, a blank line ends an event, lines that begin
with a colon are comments.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "KEEP_ALIVE",
    "MEDIA_TYPE",
    "EventTooLargeError",
    "SSEDecoder",
    "ServerSentEvent",
    "encode_event",
]

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE = b": keep-alive\n\n"


class EventTooLargeError(ValueError):
    """A stream holds an event, or a line, of more bytes than the decoder takes."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of a stream.

    Attributes:
        data: The data lines joined by LF.
        event: The event's type, empty unless the stream named one.
        id: The last event id, as it stands after this event; empty unless the stream gave one.
    """

    data: str
    event: str = ""
    id: str = ""


def encode_event(data: bytes, *, id: str | None = None, event: str | None = None) -> bytes:
    """Returns one frame.

    Args:
        data: The payload, without line breaks (JSON has none).
        id: Event id, without line breaks.
        event: Event type, without line breaks.
    """
    head = b""
    if event is not None:
        head += b"event: " + event.encode() + b"\n"
    if id is not None:
        head += b"id: " + id.encode() + b"\n"
    return head + b"data: " + data + b"\n\n"


class SSEDecoder:
    """Decodes a stream that arrives in pieces.

    Feed it bytes as they come; it returns the events that they complete. An event that the stream's end cuts off is
    dropped, as the standard says.

    Args:
        max_bytes: Bytes of an event at most, and of a line; None takes any number.
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._rest = bytearray()
        self._started = False
        self._skip_line_feed = False
        self._data: list[str] = []
        self._event = ""
        self._id = ""
        self._last_id = ""

    @property
    def last_id(self) -> str:
        """Id of the last complete event, empty at first: the cursor to resume from."""
        return self._last_id

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Returns the events completed by ``chunk``.

        Raises:
            EventTooLargeError: An event is larger than it may be; nothing more can be read then.
        """
        if not chunk:
            return []
        if self._skip_line_feed:
            self._skip_line_feed = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        self._rest += chunk
        if b"\n" not in chunk and b"\r" not in chunk:
            self._check_size(len(self._rest))
            return []
        if self._rest.endswith(b"\r"):
            # The LF of a CR LF may still be on its way; the line itself is complete.
            self._skip_line_feed = True
        *lines, rest = self._rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = rest
        events: list[ServerSentEvent] = []
        for line in lines:
            event = self._line(bytes(line))
            if event is not None:
                events.append(event)
        self._check_size(len(self._rest))
        return events

    def _check_size(self, more: int) -> None:
        if self._max_bytes is not None and self._size + more > self._max_bytes:
            raise EventTooLargeError(f"An event of the stream has more than {self._max_bytes} bytes.")

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if self._max_bytes is not None and len(line) > self._max_bytes:
            self._check_size(len(line))
        if not self._started:
            self._started = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._dispatch()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            # A line that is empty takes memory too.
            self._size += len(line) + 1
            self._check_size(0)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        data, self._data, self._size = self._data, [], 0
        event, self._event = self._event, ""
        self._last_id = self._id
        return ServerSentEvent("\n".join(data), event, self._last_id) if data else None
