"""What a server says that it can do: computed, sent to clients that ask, and to no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatkit.files import AttachmentStore, LocalFileStore
from chatkit.store import MemoryStore, SQLiteStore
from chatkit.types import Capabilities, FileStore, TranscriptionResult
from tests.server.support import ScriptedServer
from tests.stateful.plain_store import PlainStore

PLAIN = {
    "transcription": False,
    "uploads": False,
    "search": True,
    "branches": False,
    "approvals": False,
    "resume": True,
    "stop": True,
}


class Listening(ScriptedServer):
    async def transcribe(self, audio_input: Any, context: Any) -> TranscriptionResult:
        return TranscriptionResult(text="")


class OnlyDeletes(AttachmentStore[Any]):
    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        raise NotImplementedError


class TwoPhase(OnlyDeletes):
    async def create_attachment(self, input: Any, context: Any) -> Any:
        raise NotImplementedError


class Direct(OnlyDeletes):
    async def upload_attachment(self, input: Any, source: Path, context: Any) -> Any:
        raise NotImplementedError


class OfNoClass:
    async def create_attachment(self, input: Any, context: Any) -> Any:
        raise NotImplementedError

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        raise NotImplementedError


class ReferenceFiles(FileStore):
    async def get_upload_url(self, file_id: str, metadata: Any) -> str:
        raise NotImplementedError

    async def get_preview_url(self, file_id: str) -> str:
        raise NotImplementedError

    async def delete(self, file_id: str) -> None:
        raise NotImplementedError

    async def upload(self, file_id: str, content: bytes, metadata: Any) -> str:
        raise NotImplementedError


async def capabilities(server: ScriptedServer) -> dict[str, Any]:
    return (await server.ask("threads.list", capabilities=True))["capabilities"]


async def test_a_plain_server() -> None:
    assert await capabilities(ScriptedServer()) == PLAIN
    assert PLAIN.keys() == Capabilities.model_fields.keys()


async def test_recordings() -> None:
    assert await capabilities(Listening()) == PLAIN | {"transcription": True}
    server = ScriptedServer()
    vars(server)["transcribe"] = Listening.transcribe
    assert (await capabilities(server))["transcription"]


@pytest.mark.parametrize(
    ("files", "taken"),
    [(OnlyDeletes, False), (TwoPhase, True), (Direct, True), (OfNoClass, True), (ReferenceFiles, True)],
)
async def test_files_of_applications(files: type[Any], taken: bool) -> None:
    server = ScriptedServer(file_store=files())
    assert await capabilities(server) == PLAIN | {"uploads": taken}


async def test_a_store_of_the_reference() -> None:
    assert await capabilities(Listening(store=PlainStore())) == PLAIN | {
        "transcription": True,
        "search": False,
    }


async def test_files_of_this_package(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chat.db")
    server = ScriptedServer(store=store, file_store=LocalFileStore(tmp_path / "files"))
    assert await capabilities(server) == PLAIN | {"uploads": True}
    await server.close()


@pytest.mark.parametrize("asked", [{}, {"capabilities": False}, {"capabilities": None}])
async def test_who_does_not_ask_gets_the_answer_of_openai_chatkit(asked: dict[str, Any]) -> None:
    server = Listening(store=MemoryStore())
    await server.new_thread()
    page = await server.ask("threads.list", **asked)
    assert page.keys() == {"data", "has_more"}
    told = await server.ask("threads.list", capabilities=True)
    assert {key: value for key, value in told.items() if key != "capabilities"} == page
