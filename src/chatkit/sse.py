"""Server-sent events: encoding frames, and decoding a byte stream of any chunking.

The format is the one of the HTML standard: lines end with LF, CR LF or CR, a blank line ends an event, lines that begin
with a colon are comments.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KEEP_ALIVE", "MEDIA_TYPE", "SSEDecoder", "ServerSentEvent", "encode_comment", "encode_event"]

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE = b": keep-alive\n\n"


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


def encode_comment(text: str) -> bytes:
    """Returns a comment, which every client ignores."""
    return b": " + text.encode() + b"\n\n"


class SSEDecoder:
    """Decodes a stream that arrives in pieces.

    Feed it bytes as they come; it returns the events that they complete. An event that the stream's end cuts off is
    dropped, as the standard says.
    """

    def __init__(self) -> None:
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
        """Returns the events completed by ``chunk``."""
        if not chunk:
            return []
        if self._skip_line_feed:
            self._skip_line_feed = False
            if chunk[:1] == b"\n":
                chunk = chunk[1:]
        self._rest += chunk
        if b"\n" not in chunk and b"\r" not in chunk:
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
        return events

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if not self._started:
            self._started = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._dispatch()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        data, self._data = self._data, []
        event, self._event = self._event, ""
        self._last_id = self._id
        return ServerSentEvent("\n".join(data), event, self._last_id) if data else None
