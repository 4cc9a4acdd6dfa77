"""``chatkit serve`` takes files: both phases, restarts, the guide, a model, and what can be set."""

from __future__ import annotations

import base64
import json
import stat
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.cli.files import open_files
from chatkit.client import ChatKitClient
from chatkit.errors import UnsupportedOperationError
from chatkit.testing import scripted_model_app
from chatkit.types import ImageAttachment
from tests.cli.processes import run, serving
from tests.cli.test_serve import APP
from tests.cli.test_serve_model import answer, free_port, is_about_a_title
from tests.files.page import PNG
from tests.files.pictures import as_file, gradient, opened
from tests.support.live_server import live_server
from tests.support.scale import scaled

PHOTO = as_file(gradient(1600, 800), "JPEG")


async def get(url: object) -> httpx2.Response:
    async with httpx2.AsyncClient() as http:
        return await http.get(str(url))


def kept(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in (folder / "files").rglob("data")]


async def test_the_guide_gets_files_whose_links_survive_a_restart(tmp_path: Path) -> None:
    port = str(free_port())
    folder = tmp_path / "chatkit-files"
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    with serving("--port", port, folder=tmp_path) as server:
        assert f"Attached files are kept in {folder}." in server.announcement
        async with ChatKitClient(server.url) as client:
            photo = await client.upload(tmp_path / "photo.jpg")
            assert isinstance(photo, ImageAttachment)
            # Announced before the restart, uploaded after it.
            announced = await client.create_attachment("note.txt", 4, "text/plain")
            notes = await client.upload(b"a\nb", name="tw`o.md")
            async with client.create_thread("Look", attachments=[photo, notes]) as stream:
                await stream.until_done()
            assert "I got 2 files" in stream.text
            assert f"`photo.jpg` (image/jpeg, {len(PHOTO) / 1000:.1f} kB)" in stream.text
            assert "`tw'o.md` (text/markdown, 3 bytes)" in stream.text
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    assert announced.upload_descriptor is not None
    with serving("--port", port, folder=tmp_path) as server:
        preview = await get(photo.preview_url)
        assert preview.headers["content-type"] == "image/webp"
        assert opened(preview.content).size == (640, 320)
        async with httpx2.AsyncClient() as http:
            put = await http.put(
                str(announced.upload_descriptor.url),
                content=b"note",
                headers=announced.upload_descriptor.headers,
            )
        assert put.status_code == 200
        async with ChatKitClient(server.url) as client:
            async with client.create_thread("", attachments=[announced]) as alone:
                await alone.until_done()
            assert "I got a file" in alone.text
            assert "`note.txt` (text/plain, 4 bytes)" in alone.text
            assert stream.thread_id is not None
            assert sorted(map(len, kept(folder))) == [3, 4, len(PHOTO)]
            await client.delete_thread(stream.thread_id)
        assert kept(folder) == [b"note"]
        assert (await get(photo.preview_url)).status_code == 404


@pytest.mark.parametrize(("api", "path"), [("chat", "messages"), ("responses", "input")])
async def test_a_model_gets_pictures_texts_and_documents(tmp_path: Path, api: str, path: str) -> None:
    model = scripted_model_app([answer], repeat=True)
    pdf = b"%PDF-1.7 of the tests"
    with (
        live_server(model) as endpoint,
        serving("--port", "0", "--api", api, folder=tmp_path, OPENAI_BASE_URL=f"{endpoint.url}/v1") as server,
    ):
        async with ChatKitClient(server.url) as client:
            files = [
                await client.upload(PNG, name="a.png"),
                await client.upload("Dürer".encode(), name="names.txt"),
                await client.upload(pdf, name="paper.pdf"),
                await client.upload(b"PK\x03\x04", name="all.zip"),
            ]
            async with client.create_thread("What is this?", attachments=files) as stream:
                await stream.until_done()
            assert stream.error is None
            assert stream.thread_id is not None
            async with client.send_message(stream.thread_id, "And now?") as again:
                await again.until_done()
    asked = [request for request in model.state.requests if not is_about_a_title(request)]
    assert len(asked) == 2
    for request in asked:
        parts = next(
            entry["content"]
            for entry in request[path]
            if entry["role"] == "user" and len(entry["content"]) == 5
        )
        said = json.dumps(parts, ensure_ascii=False)
        assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in said
        assert f"data:application/pdf;base64,{base64.b64encode(pdf).decode()}" in said
        assert '"paper.pdf"' in said
        assert "The file names.txt was attached:\\n\\nDürer" in said
        assert "(The file all.zip was attached; it cannot be read here.)" in said


async def test_files_can_be_switched_off(tmp_path: Path) -> None:
    for options, variables in ((["--files", "off"], {}), ([], {"CHATKIT_FILES": "off"})):
        with serving("--port", "0", *options, folder=tmp_path, **variables) as server:
            assert "Attached files" not in server.announcement
            async with ChatKitClient(server.url) as client:
                with pytest.raises(UnsupportedOperationError):
                    await client.upload(PNG, name="a.png")
    assert not (tmp_path / "chatkit-files").exists()


@pytest.mark.parametrize("how", ["option", "variable", "beside"])
async def test_the_folder_is_the_users_choice(tmp_path: Path, how: str) -> None:
    tmp_path.joinpath("app.py").write_text(APP)
    elsewhere = tmp_path / "data" / ("shop-files" if how == "beside" else "f")
    elsewhere.parent.mkdir()
    options = ["--files", str(elsewhere)] if how == "option" else []
    variables = {"CHATKIT_FILES": str(elsewhere)} if how == "variable" else {}
    secret = {"CHATKIT_SECRET": "of the environment"} if how == "variable" else {}
    db = ["--db", str(tmp_path / "data" / "shop.db")]
    target = "app:Mine" if how == "option" else "app:make"
    with serving(target, "--port", "0", *db, *options, folder=tmp_path, **variables, **secret) as server:
        assert f"Attached files are kept in {elsewhere}." in server.announcement
        async with ChatKitClient(server.url) as client:
            made = await client.upload(PNG, name="a.png")
            assert isinstance(made, ImageAttachment)
            assert (await get(made.preview_url)).content == PNG
    assert kept(elsewhere) == [PNG]
    assert (elsewhere / "secret").exists() == (not secret)


def test_what_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    tmp_path.joinpath("app.py").write_text(APP)
    tmp_path.joinpath("taken").write_text("")
    for options, expected in (
        (["--files", "taken/files"], f"Files cannot be kept in {tmp_path}/taken/files: Not a directory."),
        (["app:Deep.server", "--files", "files"], "--files has no effect on app:Deep.server"),
        (["app:application", "--files", "files"], "--files has no effect on app:application"),
    ):
        done = run("serve", "--port", "0", *options, folder=tmp_path)
        assert done.returncode == 1
        assert expected in done.stderr
        assert "--files" in done.stderr
        assert done.stderr.count("\n") == 1


async def test_processes_that_start_at_once_have_one_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHATKIT_SECRET", raising=False)
    barrier = threading.Barrier(8)
    found: list[Any] = []

    def start() -> None:
        barrier.wait(scaled(20))
        files = open_files(None, str(tmp_path / "chatkit.db"))
        assert files is not None
        found.append(files._secret)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(scaled(20))
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(found[0]) >= 32
    assert [path.name for path in (tmp_path / "chatkit-files").iterdir()] == ["secret"]
