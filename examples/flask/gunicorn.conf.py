"""What gunicorn does besides serving: it ends the chat of a worker in order, while its streams are still open."""

from typing import Any


def worker_exit(server: Any, worker: Any) -> None:
    """Is called in a worker that ends."""
    from app import chat

    chat.close()
