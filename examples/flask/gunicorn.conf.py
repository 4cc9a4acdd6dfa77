"""What gunicorn does besides serving: a worker that is asked to end ends its chat first, and open streams with it."""

import signal
import threading
from types import FrameType
from typing import Any


def post_worker_init(worker: Any) -> None:
    """Is called in a worker when it is about to serve."""
    from app import chat

    before: Any = signal.getsignal(signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> None:
        # gunicorn itself waits for the streams, and kills the worker when its patience is over.
        threading.Thread(target=chat.close, name="chat ends").start()
        before(number, frame)

    signal.signal(signal.SIGTERM, end)
