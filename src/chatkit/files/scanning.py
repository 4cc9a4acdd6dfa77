"""Scanning files before anybody can use them, by a function of the application."""

from __future__ import annotations

import asyncio
import inspect
import logging
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from threading import BoundedSemaphore, Thread
from typing import Any, Final, TypeAlias

from chatkit._outages import log_failure
from chatkit.errors import ConfigurationError, InvalidResultError, RequestError, ReviewFailedError
from chatkit.types import FileMetadata

__all__ = ["SCAN_SECONDS", "FileScanner", "check_scan_seconds", "scan", "scan_content", "temporary_file"]

logger = logging.getLogger("chatkit.files")

SCAN_SECONDS: Final = 60.0
"""How long a scan may take by default."""

_threads: Final = BoundedSemaphore(32)
"""Scans that run at once in threads of this process; more wait, for as long as a scan may take."""
_LOOK_SECONDS: Final = 0.05

FileScanner: TypeAlias = Callable[[Path, FileMetadata], Awaitable[None] | None]
"""Returns if a file may be used, and raises :class:`chatkit.errors.ContentRefusedError` if not.

It gets the path of the whole file, in a place of its own, and what the client says of it. One that is not ``async``
runs in a thread.
"""


def check_scan_seconds(name: str, seconds: float) -> float:
    """Returns the time that a scan may take; raises ConfigurationError if it is none."""
    if not seconds > 0:
        raise ConfigurationError(f"{name}: scan_seconds must be a positive number of seconds.")
    return seconds


async def scan(scanner: FileScanner, path: Path, metadata: FileMetadata, seconds: float) -> None:
    """Returns if a file may be used.

    Args:
        scanner: Scans it.
        path: The file.
        metadata: What the client says of it.
        seconds: How long it may take.

    Raises:
        RequestError: The scanner refuses it.
        ReviewFailedError: The scanner failed, took too long, or returned something.
    """
    try:
        async with asyncio.timeout(seconds):
            made = await _run(scanner, path, metadata)
        if made is not None:
            # The result of another library's function, perhaps, which says that something was found.
            raise InvalidResultError(
                f"A scanner returned {type(made).__name__}. Raise ContentRefusedError for a file that must not be "
                "used, and return nothing for one that may."
            )
    except RequestError:
        raise
    except Exception as error:
        what = (
            f"A scan did not end within {seconds:g} s" if isinstance(error, TimeoutError) else "A scan failed"
        )
        log_failure(logger, f"{what}: the file is refused", error)
        raise ReviewFailedError(f"{what}.") from error


async def scan_content(
    scanner: FileScanner, content: bytes | Path, metadata: FileMetadata, seconds: float
) -> None:
    """Does what ``scan`` does with a file, or with the bytes of one."""
    if isinstance(content, Path):
        await scan(scanner, content, metadata, seconds)
        return
    async with temporary_file() as path:
        await asyncio.to_thread(path.write_bytes, content)
        await scan(scanner, path, metadata, seconds)


@asynccontextmanager
async def temporary_file() -> AsyncGenerator[Path]:
    """A path in a folder of its own, which goes with the block."""
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="chatkit-scan-")
    try:
        yield Path(folder) / "file"
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


async def _run(scanner: FileScanner, path: Path, metadata: FileMetadata) -> Any:
    if inspect.iscoroutinefunction(scanner) or inspect.iscoroutinefunction(type(scanner).__call__):
        made: Any = scanner(path, metadata)
    else:
        made = await _in_thread(scanner, path, metadata)
    return await made if inspect.isawaitable(made) else made


async def _in_thread(scanner: FileScanner, path: Path, metadata: FileMetadata) -> Any:
    """Runs a scanner in a thread of its own: one that never ends takes none from what else needs the loop's threads."""
    while not _threads.acquire(blocking=False):  # noqa: ASYNC110 -- scans of other loops may end first
        await asyncio.sleep(_LOOK_SECONDS)
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Any] = loop.create_future()

    def settle(made: Any, error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(made)
        else:
            ended.set_exception(
                error if isinstance(error, Exception) else RuntimeError(f"It raised {type(error).__name__}.")
            )

    def run() -> None:
        made, failure = None, None
        try:
            made = scanner(path, metadata)
        except BaseException as error:  # noqa: BLE001 -- it is raised where the result is waited for
            failure = error
        finally:
            _threads.release()
        with suppress(RuntimeError):
            # The loop may be closed by now.
            loop.call_soon_threadsafe(settle, made, failure)

    context = copy_context()
    try:
        # The process may end while one hangs.
        Thread(target=context.run, args=(run,), name="chatkit scan", daemon=True).start()
    except BaseException:
        _threads.release()
        raise
    return await ended
