"""Attachment stores written for openai-chatkit, which does not delete files with their thread."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from chatkit.errors import StoreUnavailableError
from chatkit.files import AttachmentStore
from chatkit.store import MemoryStore, NotFoundError
from chatkit.types import Attachment, FileAttachment
from tests.server.support import ADA, ScriptedServer, user_input


class OwnFiles(AttachmentStore[Any]):
    """Args: says: What it raises when a file is deleted, if anything."""

    def __init__(self, says: Exception | None = None) -> None:
        self.says = says
        self.deleted: list[str] = []

    async def create_attachment(self, input: Any, context: Any) -> Attachment:
        return FileAttachment(id="atc_1", name=input.name, mime_type=input.mime_type)

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        if self.says is not None:
            raise self.says
        self.deleted.append(attachment_id)


class OwnRecords(MemoryStore[Any]):
    async def load_attachment(self, attachment_id: str, context: Any) -> Attachment:
        try:
            return await super().load_attachment(attachment_id, context)
        except NotFoundError:
            raise KeyError(attachment_id) from None


async def thread_with_a_file(server: ScriptedServer) -> str:
    await server.ask("attachments.create", name="a.txt", size=1, mime_type="text/plain")
    events = await server.ask("threads.create", input=user_input("Hi", attachments=["atc_1"]))
    return events[0]["thread"]["id"]


@pytest.mark.parametrize("says", [KeyError("gone"), NotFoundError(), FileNotFoundError(), None], ids=repr)
async def test_a_thread_is_deleted_whatever_its_files_say(says: Exception | None) -> None:
    server = ScriptedServer(store=MemoryStore(), attachment_store=OwnFiles(says))
    thread_id = await thread_with_a_file(server)
    assert await server.ask("threads.delete", thread_id=thread_id) == {}
    assert (await server.ask("threads.list"))["data"] == []


async def test_an_error_of_its_own_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    server = ScriptedServer(store=MemoryStore(), attachment_store=OwnFiles(KeyError("gone")))
    thread_id = await thread_with_a_file(server)
    with caplog.at_level(logging.ERROR, "chatkit.server"):
        await server.ask("threads.delete", thread_id=thread_id)
    assert "atc_1 was not deleted with its thread" in caplog.text


async def test_a_record_that_cannot_be_read_leaves_its_file() -> None:
    files = OwnFiles()
    server = ScriptedServer(store=OwnRecords(), attachment_store=files)
    thread_id = await thread_with_a_file(server)
    await server.store.delete_attachment("atc_1", ADA)
    assert await server.ask("threads.delete", thread_id=thread_id) == {}
    assert files.deleted == []


@pytest.mark.parametrize("says", [StoreUnavailableError(), ConnectionResetError()], ids=repr)
async def test_a_store_that_cannot_be_reached_keeps_the_thread(says: Exception) -> None:
    server = ScriptedServer(store=MemoryStore(), attachment_store=OwnFiles(says))
    thread_id = await thread_with_a_file(server)
    with pytest.raises(type(says)):
        await server.ask("threads.delete", thread_id=thread_id)
    assert [thread["id"] for thread in (await server.ask("threads.list"))["data"]] == [thread_id]


async def test_a_store_may_keep_the_files() -> None:
    class Keeping(MemoryStore[Any]):
        deletes_files = True

    files = OwnFiles()
    server = ScriptedServer(store=Keeping(), attachment_store=files)
    assert await server.ask("threads.delete", thread_id=await thread_with_a_file(server)) == {}
    assert files.deleted == []
