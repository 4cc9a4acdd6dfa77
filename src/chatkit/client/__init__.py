"""A typed, asynchronous client for any ChatKit endpoint.

::

    async with ChatKitClient("http://127.0.0.1:8000/chatkit") as client:
        async with client.create_thread("Hello") as stream:
            async for event in stream:
                ...
        print(stream.text)
        picture = await client.upload("picture.png")
        async with client.send_message(stream.thread_id, "What is this?", attachments=[picture]) as stream:
            await stream.until_done()

Needs the extra ``client``: ``pip install 'chatkit-server[client]'``.
"""

from chatkit.client.client import ActiveTurn, ChatKitClient, StoppedTurns, ThreadView
from chatkit.client.errors import ServerError, StreamInterrupted, TransportError, UnexpectedAnswerError
from chatkit.client.state import TurnState
from chatkit.client.stream import TurnStatus, TurnStream

__all__ = [
    "ActiveTurn",
    "ChatKitClient",
    "ServerError",
    "StoppedTurns",
    "StreamInterrupted",
    "ThreadView",
    "TransportError",
    "TurnState",
    "TurnStatus",
    "TurnStream",
    "UnexpectedAnswerError",
]
