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

from chatkit.errors import MissingExtraError

try:
    from chatkit.client.answers import ActiveTurn, StoppedTurns, ThreadView
    from chatkit.client.client import ChatKitClient
    from chatkit.client.errors import ServerError, StreamInterrupted, TransportError, UnexpectedAnswerError
    from chatkit.client.stream import TurnStatus, TurnStream
    from chatkit.client.view import TurnState, TurnView
except ModuleNotFoundError as error:
    if error.name != "httpx2":
        raise
    raise MissingExtraError(
        "The client needs another package: pip install 'chatkit-server[client]'."
    ) from error

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
    "TurnView",
    "UnexpectedAnswerError",
]
