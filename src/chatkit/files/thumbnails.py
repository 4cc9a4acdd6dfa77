"""Previews of pictures, made by Pillow (extra ``images``) where it is installed.

Decoding the files of strangers is bounded: a few formats only, pixels and scans are counted before anything is decoded,
and each picture is decoded in a process of its own that is ended when it takes too long.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from chatkit.errors import ConfigurationError
from chatkit.files.media_types import base_type
from chatkit.files.preview_queue import PreviewQueue

__all__ = [
    "DEFAULT_PREVIEW_SIZE",
    "MAX_SOURCE_BYTES",
    "PREVIEW_TYPE",
    "check_preview_size",
    "has_previews",
    "make_preview",
    "preview_owner",
    "previews_for",
    "request_preview",
    "wait_briefly",
]

DEFAULT_PREVIEW_SIZE: Final = 640
"""Pixels of a preview's longer side: twice what front ends show, for dense displays."""

PREVIEW_TYPE: Final = "image/webp"

MAX_SOURCE_BYTES: Final = 32 * 1024 * 1024
"""Bytes of a file that a preview is made of at most."""

_FORMATS: Final = {
    "image/apng": "PNG",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
}

_previews_of: ContextVar[str] = ContextVar("chatkit_previews_of", default="")


@cache
def _queue() -> PreviewQueue:
    return PreviewQueue()


if hasattr(os, "register_at_fork"):
    # Threads do not go over into a forked process: it makes a queue of its own.
    os.register_at_fork(after_in_child=_queue.cache_clear)


def check_preview_size(size: int | None) -> int | None:
    """Returns the size.

    Raises:
        ConfigurationError: It is not None and not between 16 and 4096.
    """
    if size is not None and not 16 <= size <= 4096:
        raise ConfigurationError("preview_size is 16 to 4096 pixels, or None for no previews of their own.")
    return size


@cache
def _pillow_is_installed() -> bool:
    return find_spec("PIL") is not None


def has_previews(mime_type: str) -> bool:
    """Returns whether previews of such files can be made here."""
    return base_type(mime_type) in _FORMATS and _pillow_is_installed()


def request_preview(
    source: bytes | Path | Callable[[], bytes],
    mime_type: str,
    size: int | None,
    keep: Callable[[bytes], None],
) -> Future[None] | None:
    """Has a preview made in the background: a file of ``PREVIEW_TYPE``.

    There is none where the file itself is to be shown: it is small already, is no picture of the kinds that can be
    made smaller, is corrupt, or would take too much memory or time; and where Pillow is not installed.

    Args:
        source: The file, its path, or what returns it, called in a thread.
        mime_type: Its media type.
        size: Pixels of the longer side; None makes no previews.
        keep: Called in the same thread with the preview, if there is one.

    Returns:
        Completed when the file was dealt with; None if there is nothing to wait for.
    """
    if size is None or not has_previews(mime_type):
        return None

    def load() -> bytes:
        if isinstance(source, bytes):
            found = source
        elif isinstance(source, Path):
            found = source.read_bytes() if source.stat().st_size <= MAX_SOURCE_BYTES else b""
        else:
            found = source()
        # An empty file has no preview.
        return found if len(found) <= MAX_SOURCE_BYTES else b""

    kind = _FORMATS[base_type(mime_type)]
    return _queue().add(_previews_of.get(), load, kind, size, keep)


@contextmanager
def previews_for(owner: str | None) -> Generator[None]:
    """Says whose pictures those are whose previews the code inside requests: owners take turns."""
    token = _previews_of.set(owner or "")
    try:
        yield
    finally:
        _previews_of.reset(token)


def preview_owner() -> str:
    """Returns a name for the owner given to ``previews_for`` that tells nothing of it; empty for none."""
    owner = _previews_of.get()
    return hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:16] if owner else ""


async def wait_briefly(preview: Future[None] | None, seconds: float = 2.0) -> None:
    """Waits for a preview, so that it is there when its picture is shown first, but not for long."""
    if preview is None:
        return
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: Future[None]) -> None:
        with suppress(RuntimeError):  # The loop may be closed by then.
            loop.call_soon_threadsafe(done.set)

    preview.add_done_callback(tell)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await done.wait()


async def make_preview(source: bytes | Path, mime_type: str, size: int | None) -> bytes | None:
    """Returns the preview that ``request_preview`` makes, however long it takes; None if there is none."""
    made: list[bytes] = []
    preview = request_preview(source, mime_type, size, made.append)
    if preview is not None:
        await asyncio.wrap_future(preview)
    return made[0] if made else None
