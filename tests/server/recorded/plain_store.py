"""The plainest stores that the interfaces of ``openai-chatkit`` 1.6.5 allow."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from chatkit.store import AttachmentStore, NotFoundError, Store
from chatkit.types import (
    AttachmentUploadDescriptor,
    FileAttachment,
    ImageAttachment,
    Page,
    ThreadItem,
    ThreadMetadata,
)


class PlainStore(Store[dict[str, Any]]):
    """Keeps copies of the objects in dictionaries; ids count up."""

    def __init__(self) -> None:
        self.threads: dict[str, Any] = {}
        self.items: dict[str, dict[str, Any]] = {}
        self.attachments: dict[str, Any] = {}
        self.count = 0
        self.made: list[str] = []

    def generate_thread_id(self, context: Any) -> str:
        self.count += 1
        return f"thr_{self.count}"

    def generate_item_id(self, item_type: Any, thread: Any, context: Any) -> str:
        self.count += 1
        return f"{item_type}_{self.count}"

    async def load_thread(self, thread_id: str, context: Any) -> Any:
        if thread_id not in self.threads:
            raise NotFoundError(f"Thread {thread_id} not found")
        return self.threads[thread_id].model_copy(deep=True)

    async def save_thread(self, thread: Any, context: Any) -> None:
        fields = {name: getattr(thread, name) for name in ("id", "title", "created_at", "status", "metadata")}
        self.threads[thread.id] = ThreadMetadata(
            **fields, allowed_image_domains=thread.allowed_image_domains
        ).model_copy(deep=True)

    async def load_threads(self, limit: int, after: str | None, order: str, context: Any) -> Any:
        return _page(list(self.threads.values()), after, limit, order)

    async def delete_thread(self, thread_id: str, context: Any) -> None:
        self.threads.pop(thread_id, None)
        self.items.pop(thread_id, None)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Any
    ) -> Any:
        return _page(list(self.items.get(thread_id, {}).values()), after, limit, order)

    async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        self.items.setdefault(thread_id, {})[item.id] = item.model_copy(deep=True)

    async def save_item(self, thread_id: str, item: Any, context: Any) -> None:
        self.items.setdefault(thread_id, {})[item.id] = item.model_copy(deep=True)

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> Any:
        try:
            return self.items[thread_id][item_id].model_copy(deep=True)
        except KeyError:
            raise NotFoundError(f"Item {item_id} not found") from None

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Any) -> None:
        self.items.get(thread_id, {}).pop(item_id, None)

    async def save_attachment(self, attachment: Any, context: Any) -> None:
        self.attachments[attachment.id] = attachment.model_copy(deep=True)

    async def load_attachment(self, attachment_id: str, context: Any) -> Any:
        if attachment_id not in self.attachments:
            raise NotFoundError(f"Attachment {attachment_id} not found")
        return self.attachments[attachment_id].model_copy(deep=True)

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        self.attachments.pop(attachment_id, None)


def _page(entries: list[Any], after: str | None, limit: int, order: str) -> Any:
    if order == "desc":
        entries.reverse()
    if after is not None:
        position = [entry.id for entry in entries].index(after)
        entries = entries[position + 1 :]
    data, rest = entries[:limit], entries[limit:]
    return Page(data=data, has_more=bool(rest), after=data[-1].id if rest else None)


class PlainFiles(AttachmentStore[dict[str, Any]]):
    """Describes uploads to a host that nobody asks."""

    async def create_attachment(self, input: Any, context: Any) -> Any:
        common: dict[str, Any] = {
            "id": "atc_" + input.name,
            "name": input.name,
            "mime_type": input.mime_type,
            "upload_descriptor": AttachmentUploadDescriptor(
                url="https://files.example/up",  # pyright: ignore[reportArgumentType]
                method="PUT",
                headers={"x-key": "1"},
            ),
            "metadata": {"secret": "kept back"},
        }
        if input.mime_type.startswith("image/"):
            return ImageAttachment(preview_url="https://files.example/p", **common)  # pyright: ignore[reportArgumentType]
        return FileAttachment(**common)

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        return None


class FailingStore(PlainStore):
    """Raises in the methods that are named in ``failing``."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: set[str] = set()


def _failing(name: str) -> Any:
    method = getattr(PlainStore, name)

    async def fail_or_do(self: FailingStore, *given: Any, **named: Any) -> Any:
        if name in self.failing:
            raise ConnectionError("secret host of the database")
        return await method(self, *given, **named)

    return fail_or_do


for _name in sorted(Store.__abstractmethods__):
    setattr(FailingStore, _name, _failing(_name))


class RereadingStore(PlainStore):
    """Keeps items as JSON."""

    async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        await super().add_thread_item(thread_id, _ITEM.validate_json(item.model_dump_json()), context)


_ITEM: Any = TypeAdapter(ThreadItem)


class DefaultIdStore(PlainStore):
    """Has ids as the package makes them, and remembers them."""

    def generate_thread_id(self, context: Any) -> str:
        self.made.append(Store.generate_thread_id(self, context))
        return self.made[-1]

    def generate_item_id(self, item_type: Any, thread: Any, context: Any) -> str:
        self.made.append(Store.generate_item_id(self, item_type, thread, context))
        return self.made[-1]


class OwnIdStore(PlainStore):
    """Has ids of another shape."""

    def generate_thread_id(self, context: Any) -> str:
        self.count += 1
        return f"{context['user_id']}/{self.count}"

    def generate_item_id(self, item_type: Any, thread: Any, context: Any) -> str:
        self.count += 1
        return f"{thread.id}/{item_type}:{self.count}"


class PostFiles(PlainFiles):
    """Describes uploads by POST."""

    async def create_attachment(self, input: Any, context: Any) -> Any:
        attachment = await super().create_attachment(input, context)
        descriptor = attachment.upload_descriptor.model_copy(update={"method": "POST", "headers": {}})
        return attachment.model_copy(update={"upload_descriptor": descriptor})


class DirectFiles(AttachmentStore[dict[str, Any]]):
    """Takes no announcement: the page posts the file to the application, which saves the attachment."""

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        context["deleted"] = attachment_id
