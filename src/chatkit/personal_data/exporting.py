"""Export: what is kept of an owner as JSON lines and files, with memory that does not grow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatkit.errors import NotFoundError, StoreUnavailableError
from chatkit.ids import utc_now
from chatkit.personal_data.export_files import FORMAT, ExportWriter, KeptFile, check_is_new
from chatkit.personal_data.receipts import ExportReport
from chatkit.personal_data.walking import walk_threads
from chatkit.store._usage_rows import as_cost
from chatkit.store.base import walk_items
from chatkit.version import __version__

if TYPE_CHECKING:
    from chatkit.personal_data.data import PersonalData
    from chatkit.types import ThreadMetadata

__all__ = ["Exporter"]


class Exporter:
    """One export.

    Args:
        data: Where data is kept.
        owner: Whose.
        folder: Where it goes.
    """

    def __init__(self, data: PersonalData, owner: str, folder: Path) -> None:
        self._data = data
        self._owner = owner
        self._folder = folder
        self._context = data.context(owner)
        self._left_out: dict[str, None] = {}

    async def check(self) -> None:
        """Raises NotFoundError where nothing is kept of the owner, and ExportError where the folder is there."""
        check_is_new(self._folder)
        if not await self._data.count(self._owner):
            raise NotFoundError(f"Nothing is kept of {self._owner!r}.")

    async def run(self) -> ExportReport:
        """Writes it; see ``PersonalData.export``."""
        data, owner = self._data, self._owner
        made_at = utc_now().isoformat()
        with ExportWriter(self._folder) as writer:
            writer.write("export", format=FORMAT, owner=owner, made_at=made_at, chatkit=__version__)
            await self._attachments(writer)
            async for thread in walk_threads(data.store, self._context):
                await self._thread(writer, thread)
            async for row in data.main.usage(owner):
                writer.write("usage", **_usage(row))
            for place in data.places:
                async for table, row in place.rows(owner):
                    writer.write("row", table=table, row=row)
            writer.finish(owner, made_at)
        if data.main.kind == "application":
            self._left_out[
                "Usage, turns and keys: the store is the application's, and its port lists none."
            ] = None
        return ExportReport(owner, self._folder, writer.counts, writer.files, list(self._left_out))

    async def _thread(self, writer: ExportWriter, thread: ThreadMetadata) -> None:
        writer.write("thread", thread=thread.model_dump(mode="json"))
        try:
            async for item in walk_items(self._data.store, thread.id, "asc", self._context):
                writer.write("item", thread_id=thread.id, item=item.model_dump(mode="json"))
        except NotFoundError:
            self._left_out[f"Some items of thread {thread.id}, which was deleted meanwhile."] = None

    async def _attachments(self, writer: ExportWriter) -> None:
        data, after = self._data, ""
        while page := await data.main.attachments(self._owner, after):
            for attachment_id, size, group in page:
                try:
                    attachment = await data.store.load_attachment(attachment_id, self._context)
                except NotFoundError:
                    continue
                # Links of uploads are credentials.
                fields = attachment.model_copy(update={"upload_descriptor": None}).model_dump(mode="json")
                file = await self._file(writer, attachment_id)
                preview = None if file is None else await self._preview(writer, attachment_id)
                kept = {"file": file and asdict(file), "preview": preview and asdict(preview)}
                writer.write("attachment", attachment=fields, size=size, group=group, **kept)
            after = page[-1][0]

    async def _file(self, writer: ExportWriter, attachment_id: str) -> KeptFile | None:
        files = self._data.managed_files
        if files is None:
            if self._data.files is not None:
                kind = type(getattr(self._data.files, "files", self._data.files)).__name__
                self._left_out[f"Files: {kind} cannot be read, for it is no ManagedFileStore."] = None
            else:
                self._left_out["Files: no file store was given."] = None
            return None
        try:
            return await writer.add_file(_read(files.chunks(attachment_id), attachment_id))
        except NotFoundError:
            self._left_out[f"The file of attachment {attachment_id}, which never came, or was deleted."] = (
                None
            )
            return None

    async def _preview(self, writer: ExportWriter, attachment_id: str) -> KeptFile | None:
        files = self._data.managed_files
        preview = None if files is None else await files.preview(attachment_id)
        return None if preview is None else await writer.add_file(_once(preview), ".preview")


async def _read(chunks: AsyncIterator[bytes], attachment_id: str) -> AsyncIterator[bytes]:
    """Yields the chunks of a file; that they cannot be read is no fault of the folder that they are written to."""
    try:
        async for chunk in chunks:
            yield chunk
    except OSError as error:
        raise StoreUnavailableError(
            f"The file of attachment {attachment_id} cannot be read: {error.strerror or error}."
        ) from error


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _usage(row: Any) -> dict[str, Any]:
    """Returns a record of usage as it is in exports, the same of every database."""
    fields = {name: value for name, value in row.items() if name not in {"owner", "cost", "group_id"}}
    cost = None if row["cost"] is None else str(as_cost(row["cost"]))
    # Databases write the same moment in different ways.
    created_at = datetime.fromisoformat(row["created_at"]).astimezone(UTC).isoformat()
    return {**fields, "group": row["group_id"], "cost": cost, "created_at": created_at}
