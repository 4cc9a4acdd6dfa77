"""Import: what an export holds, into another store or under another owner, as often as one likes."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import TypeAdapter, ValidationError

from chatkit.errors import AlreadyUploadedError, ConfigurationError, ConflictError, ExportError, NotFoundError
from chatkit.personal_data.export_files import ExportReader
from chatkit.personal_data.receipts import ImportReport
from chatkit.store._records import saved_at
from chatkit.store.base import find_item
from chatkit.store.usage import BoundedFiles, UsageKeeper
from chatkit.types import Attachment, FileMetadata, ThreadItem, ThreadMetadata, UserMessageItem
from chatkit.usage import Usage, UsageRecord

if TYPE_CHECKING:
    from chatkit.files.base import ManagedFileStore
    from chatkit.personal_data.data import PersonalData

__all__ = ["Importer"]

_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)
_MOST = 2**63
"""The first number that no database keeps."""
_UNREADABLE = (ValidationError, ConfigurationError, ValueError, KeyError, TypeError, ArithmeticError)
_FROM_NOWHERE = "files of attachments: no file store was given that takes them"


class Importer:
    """One import.

    Args:
        data: Where it goes.
        folder: The export.
        owner: Whose it is to be; None for whose it was.

    Attributes:
        owner: Whose it will be.
    """

    def __init__(self, data: PersonalData, folder: Path, owner: str | None) -> None:
        self._data = data
        self._reader = ExportReader(folder)
        self.owner = self._reader.owner if owner is None else owner
        self._context = data.context(self.owner)
        self._added: dict[str, int] = {}
        self._present: dict[str, int] = {}
        self._left_out: dict[str, int] = {}
        self._problems: dict[str, None] = {}

    async def check(self) -> None:
        """Raises ExportError unless the export is whole, and all of it can be read."""
        await asyncio.to_thread(self._check)
        await self._data.store.admit(self._context)

    async def run(self) -> ImportReport:
        """Adds it; see ``PersonalData.import_``."""
        for line in self._reader.lines():
            kind = line["kind"]
            if kind == "row":
                table = str(line.get("table"))
                self._left_out[table] = self._left_out.get(table, 0) + 1
                continue
            work = {
                "thread": self._thread,
                "item": self._item,
                "attachment": self._attachment,
                "usage": self._usage,
            }.get(kind)
            if work is not None:
                counted = self._added if await work(line) else self._present
                counted[kind] = counted.get(kind, 0) + 1
        return ImportReport(self.owner, self._added, self._present, self._left_out, list(self._problems))

    def _check(self) -> None:
        self._reader.check()
        thread_id: Any = None
        for line in self._reader.lines():
            try:
                self._models(line)
                if line["kind"] == "thread":
                    thread_id = line["thread"]["id"]
                elif line["kind"] == "item" and line["thread_id"] != thread_id:
                    raise ValueError("it does not follow its thread")
            except _UNREADABLE as error:
                raise ExportError(
                    f"The export has a line of kind {line['kind']!r} that this version cannot read: {error}. Nothing "
                    "was imported."
                ) from error

    def _models(self, line: Mapping[str, Any]) -> None:
        kind = line["kind"]
        if kind == "thread":
            ThreadMetadata.model_validate(line["thread"])
        elif kind == "item":
            _ITEM.validate_python(line["item"])
        elif kind == "attachment":
            _ATTACHMENT.validate_python(line["attachment"])
            _size(line)
            _group(line)
        elif kind == "usage":
            _record(line)

    async def _id(self, attachment_id: str) -> str:
        """Returns the id of an attachment here, the same each time.

        It has one of its own under another owner, and where another owner has an attachment of that id: whose file it
        is goes by the id alone, and an export may say anything.
        """
        if self.owner == self._reader.owner and (
            await self._has(attachment_id)
            or not await self._data.main.has_attachment_of_others(self.owner, attachment_id)
        ):
            return attachment_id
        named = "\x00".join((self._reader.owner, self.owner, attachment_id)).encode("utf-8", "surrogatepass")
        return f"atc_{hashlib.sha256(named).hexdigest()[:32]}"

    async def _has(self, attachment_id: str) -> bool:
        try:
            await self._data.store.load_attachment(attachment_id, self._context)
        except NotFoundError:
            return False
        return True

    async def _thread(self, line: Mapping[str, Any]) -> bool:
        thread = ThreadMetadata.model_validate(line["thread"])
        try:
            await self._data.store.load_thread(thread.id, self._context)
        except NotFoundError:
            # Its age is that of the original, which is what retention goes by.
            token = saved_at.set(thread.updated_at)
            try:
                await self._data.store.save_thread(thread, self._context)
            finally:
                saved_at.reset(token)
            return True
        return False

    async def _item(self, line: Mapping[str, Any]) -> bool:
        store, thread_id = self._data.store, str(line["thread_id"])
        item = _ITEM.validate_python(line["item"])
        if isinstance(item, UserMessageItem):
            named = [await self._renamed(attachment) for attachment in item.attachments]
            item = item.model_copy(update={"attachments": named})
        if self._data.main.kind == "application" and await find_item(
            store, thread_id, item.id, self._context
        ):
            return False
        try:
            await store.add_thread_item(thread_id, item, self._context)
        except ConflictError:
            return False
        return True

    async def _renamed(self, attachment: Attachment) -> Attachment:
        return attachment.model_copy(update={"id": await self._id(attachment.id)})

    async def _attachment(self, line: Mapping[str, Any]) -> bool:
        attachment = await self._renamed(_ATTACHMENT.validate_python(line["attachment"]))
        files = self._data.managed_files if line.get("file") is not None else None
        if files is not None:
            await self._file(files, attachment, line)
        elif line.get("file") is not None:
            self._problems[_FROM_NOWHERE] = None
        is_new = not await self._has(attachment.id)
        if is_new:
            await self._record(attachment, line)
        if files is not None and attachment.thread_id is not None:
            # Last: a file whose record is refused is swept, as one that no message came for.
            await files.claim(attachment.id)
        return is_new

    async def _record(self, attachment: Attachment, line: Mapping[str, Any]) -> None:
        store, context = self._data.store, self._context
        group = _group(line) if self.owner == self._reader.owner else None
        inner: Any = getattr(store, "store", store)
        if isinstance(inner, BoundedFiles):
            bounded = cast("BoundedFiles[Any]", inner)
            await bounded.add_attachment(attachment, _size(line), group, (), context)
        else:
            await store.save_attachment(attachment, context)

    async def _file(self, files: ManagedFileStore, attachment: Attachment, line: Mapping[str, Any]) -> None:
        kept, preview = line["file"], line.get("preview")
        metadata = FileMetadata(
            content_type=attachment.mime_type, name=attachment.name, size=int(kept["size"])
        )
        small = None if preview is None else await asyncio.to_thread(self._reader.path(preview).read_bytes)
        with tempfile.TemporaryDirectory(prefix="chatkit-import-") as folder:
            # A file store may move what it is given away.
            source = Path(folder) / "file"
            try:
                await asyncio.to_thread(shutil.copyfile, self._reader.path(kept), source)
            except OSError as error:
                raise ExportError(
                    f"A file cannot be copied to {folder}: {error.strerror or error}. Make room there, or set TMPDIR; "
                    "then import again."
                ) from error
            try:
                await files.put_back(attachment.id, source, metadata, small)
            except AlreadyUploadedError:
                digest = hashlib.sha256()
                async for chunk in files.chunks(attachment.id):
                    digest.update(chunk)
                if digest.hexdigest() != kept["sha256"]:
                    raise ExportError(
                        f"The file store has another file under the id {attachment.id}. Import under another owner, "
                        "whose files get ids of their own."
                    ) from None
            except OSError as error:
                raise ExportError(
                    f"The file of attachment {attachment.id} cannot be stored: {error.strerror or error}. Mend that, "
                    "then import again: what is there already stays."
                ) from error

    async def _usage(self, line: Mapping[str, Any]) -> bool:
        inner: Any = getattr(self._data.store, "store", self._data.store)
        if not isinstance(inner, UsageKeeper):
            self._problems["usage: the store keeps none"] = None
            return False
        keeper = cast("UsageKeeper[Any]", inner)
        return await keeper.add_usage(_record(line), self._context)


def _record(line: Mapping[str, Any]) -> UsageRecord:
    names = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
    cost = None if line["cost"] is None else Decimal(line["cost"])
    if cost is not None:
        _kept(cost * 10**9)
    return UsageRecord(
        turn_id=str(line["turn_id"]),
        step=str(line["step"]),
        thread_id=str(line["thread_id"]),
        group=_group(line),
        usage=Usage(str(line["model"]), **{name: int(_kept(line[name])) for name in names}),
        cost=cost,
        created_at=datetime.fromisoformat(line["created_at"]),
    )


def _size(line: Mapping[str, Any]) -> int:
    return int(_kept(line.get("size") or 0))


def _group(line: Mapping[str, Any]) -> str | None:
    group = line.get("group")
    if not isinstance(group, str | None):
        raise TypeError("'group' is no text")
    return group


def _kept(number: Any) -> Any:
    if not 0 <= number < _MOST:
        raise ValueError(f"{number} is no number that can be kept")
    return number
