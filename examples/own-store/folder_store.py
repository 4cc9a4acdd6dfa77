"""A store of its own: a folder for each user, and in it a JSON file for each thread with its items."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel, TypeAdapter

from chatkit.errors import ConfigurationError, ConflictError
from chatkit.store import NotFoundError, OwnerContext, Store
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata

Context = dict[str, str] | OwnerContext
ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)


class HasId(Protocol):
    """A thread or an item."""

    id: str


Row = TypeVar("Row", bound=HasId)


class ThreadFile(BaseModel):
    """The content of a thread's file."""

    thread: ThreadMetadata
    items: list[ThreadItem] = []


class FolderStore(Store[Context]):
    """Keeps threads as files, for one process.

    Args:
        folder: Where they are kept; it is made when it is needed.
    """

    def __init__(self, folder: str | Path = "chats") -> None:
        self._folder = Path(folder)
        self._lock = threading.Lock()

    def owner(self, context: Context) -> str:
        """Returns whose threads a request is about; turns that a crash cut off are named by an OwnerContext."""
        owner = context.owner if isinstance(context, OwnerContext) else context.get("user_id")
        if not owner:
            raise ConfigurationError("The context names no owner: give process() one with a user_id.")
        return owner

    async def load_thread(self, thread_id: str, context: Context) -> ThreadMetadata:
        return (await self._load(thread_id, context)).thread

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: Context
    ) -> Page[ThreadMetadata]:
        def load() -> list[ThreadMetadata]:
            files = self._file("threads", "", context).parent.glob("*.json")
            return [ThreadFile.model_validate_json(file.read_bytes()).thread for file in files]

        threads = await asyncio.to_thread(load)
        threads.sort(key=lambda thread: (thread.created_at, thread.id))
        return page_of(threads, after, limit, order)

    async def save_thread(self, thread: ThreadMetadata, context: Context) -> None:
        def save(found: ThreadFile) -> None:
            found.thread = ThreadMetadata.model_validate(thread.model_dump(exclude={"items"}))

        await self._change(thread.id, context, save, new=ThreadFile(thread=thread))

    async def delete_thread(self, thread_id: str, context: Context) -> None:
        thread = self._file("threads", thread_id, context)
        attachments = self._file("attachments", "", context).parent

        def delete() -> None:
            with self._lock:
                read(thread)
                for file in attachments.glob("*.json"):
                    if ATTACHMENT.validate_json(file.read_bytes()).thread_id == thread_id:
                        file.unlink()
                thread.unlink()

        await asyncio.to_thread(delete)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Context
    ) -> Page[ThreadItem]:
        return page_of((await self._load(thread_id, context)).items, after, limit, order)

    async def load_item(self, thread_id: str, item_id: str, context: Context) -> ThreadItem:
        for item in (await self._load(thread_id, context)).items:
            if item.id == item_id:
                return item
        raise NotFoundError(f"Thread {thread_id} has no item {item_id}.")

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: Context) -> None:
        def add(found: ThreadFile) -> None:
            if any(old.id == item.id for old in found.items):
                raise ConflictError(f"Thread {thread_id} has an item {item.id} already.")
            found.items.append(item)

        await self._change(thread_id, context, add)

    async def save_item(self, thread_id: str, item: ThreadItem, context: Context) -> None:
        def save(found: ThreadFile) -> None:
            places = [place for place, old in enumerate(found.items) if old.id == item.id]
            place = places[0] if places else len(found.items)
            found.items[place : place + 1] = [item]

        await self._change(thread_id, context, save)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Context) -> None:
        def delete(found: ThreadFile) -> None:
            found.items = [item for item in found.items if item.id != item_id]

        await self._change(thread_id, context, delete)

    async def save_attachment(self, attachment: Attachment, context: Context) -> None:
        file = self._file("attachments", attachment.id, context)
        await asyncio.to_thread(write, file, ATTACHMENT.dump_json(attachment))

    async def load_attachment(self, attachment_id: str, context: Context) -> Attachment:
        file = self._file("attachments", attachment_id, context)
        return ATTACHMENT.validate_json(await asyncio.to_thread(read, file))

    async def delete_attachment(self, attachment_id: str, context: Context) -> None:
        file = self._file("attachments", attachment_id, context)
        await asyncio.to_thread(file.unlink, missing_ok=True)

    def _file(self, kind: str, id: str, context: Context) -> Path:
        # Names that come from a client, such as "../../x", are never names of files.
        owner, name = (hashlib.sha256(text.encode()).hexdigest() for text in (self.owner(context), id))
        return self._folder / owner / kind / f"{name}.json"

    async def _load(self, thread_id: str, context: Context) -> ThreadFile:
        file = self._file("threads", thread_id, context)
        return ThreadFile.model_validate_json(await asyncio.to_thread(read, file))

    async def _change(
        self,
        thread_id: str,
        context: Context,
        change: Callable[[ThreadFile], None],
        new: ThreadFile | None = None,
    ) -> None:
        file = self._file("threads", thread_id, context)

        def work() -> None:
            with self._lock:
                is_new = new is not None and not file.exists()
                found = new if is_new and new else ThreadFile.model_validate_json(read(file))
                change(found)
                write(file, found.model_dump_json().encode())

        await asyncio.to_thread(work)


def read(file: Path) -> bytes:
    """Returns the content of a file."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise NotFoundError from None


def write(file: Path, content: bytes) -> None:
    """Writes a file as a whole: a crash leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_bytes(content)
    new.replace(file)


def page_of(rows: list[Row], after: str | None, limit: int, order: str) -> Page[Row]:
    """Returns the rows that follow the one with the id ``after``, in the asked order."""
    rows = rows if order == "asc" else rows[::-1]
    ids = [row.id for row in rows]
    if after is not None and after not in ids:
        raise NotFoundError
    start = 0 if after is None else ids.index(after) + 1
    has_more = start + limit < len(rows)
    found = rows[start : start + limit]
    return Page(data=found, has_more=has_more, after=found[-1].id if has_more and found else after)
