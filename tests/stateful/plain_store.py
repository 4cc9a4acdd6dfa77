"""A store and a file store of the reference's kind, as an application might write them: in memory, without owners."""

from __future__ import annotations

from uuid import uuid4

from chatkit.types import FileMetadata, FileStore, Store, ThreadItem, ThreadMetadata


class PlainStore(Store):
    """Keeps copies, so that nothing changes in it but by its methods; lists the newest thread first."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadMetadata] = {}
        self._items: dict[str, dict[str, ThreadItem]] = {}

    async def load_thread(self, thread_id: str) -> ThreadMetadata | None:
        thread = self._threads.get(thread_id)
        return None if thread is None else thread.model_copy(deep=True)

    async def save_thread(self, thread: ThreadMetadata) -> None:
        self._threads[thread.id] = thread.model_copy(deep=True)
        self._items.setdefault(thread.id, {})

    async def load_threads(self, limit: int = 50) -> list[ThreadMetadata]:
        return [thread.model_copy(deep=True) for thread in reversed(self._threads.values())][:limit]

    async def load_thread_items(self, thread_id: str) -> list[ThreadItem]:
        return [item.model_copy(deep=True) for item in self._items[thread_id].values()]

    async def add_thread_item(self, thread_id: str, item: ThreadItem) -> None:
        if item.id in self._items[thread_id]:
            raise KeyError(item.id)
        self._items[thread_id][item.id] = item.model_copy(deep=True)

    async def save_item(self, thread_id: str, item: ThreadItem) -> None:
        if item.id not in self._items[thread_id]:
            raise KeyError(item.id)
        self._items[thread_id][item.id] = item.model_copy(deep=True)

    async def load_item(self, thread_id: str, item_id: str) -> ThreadItem | None:
        item = self._items[thread_id].get(item_id)
        return None if item is None else item.model_copy(deep=True)

    async def delete_thread(self, thread_id: str) -> None:
        del self._threads[thread_id], self._items[thread_id]

    async def delete_thread_item(self, thread_id: str, item_id: str) -> None:
        self._items[thread_id].pop(item_id, None)

    async def generate_id(self, prefix: str) -> str:
        return f"{prefix}_{uuid4().hex[:12]}"


class PlainFiles(FileStore):
    """Notes which files it was asked for and which it was told to delete."""

    def __init__(self) -> None:
        self.announced: list[str] = []
        self.deleted: list[str] = []

    async def get_upload_url(self, file_id: str, metadata: FileMetadata) -> str:
        self.announced.append(file_id)
        return f"https://files.example/upload/{file_id}?type={metadata.content_type}"

    async def get_preview_url(self, file_id: str) -> str:
        return f"https://files.example/{file_id}"

    async def delete(self, file_id: str) -> None:
        self.deleted.append(file_id)
