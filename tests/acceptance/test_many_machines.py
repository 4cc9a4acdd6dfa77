"""The shipped topology: what a page does, through nginx, while workers come and go."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.client import ChatKitClient
from chatkit.types import ImageAttachment
from tests.acceptance.wire import HEADERS, Frame, frames_of, message, resumable, text_of
from tests.files.page import PNG
from tests.support.deployment import Deployment, deployment
from tests.support.live_server import server_process
from tests.support.nginx import check_configuration, nginx, nginx_program, write_configuration
from tests.support.scale import scaled

LEASE = 3.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    nginx_program()
    with deployment(tmp_path_factory.mktemp("deployment"), lease=LEASE, drain=30) as found:
        yield found


class Page:
    """A page of one user: what it saw of an answer, and which worker it saw it from."""

    def __init__(self, running: Deployment, http: httpx2.AsyncClient) -> None:
        self.running = running
        self.http = http
        self.thread_id = ""
        self.last_id = ""
        self.text = ""
        self.frames: list[Frame] = []

    @asynccontextmanager
    async def stream(self, request: dict[str, Any]) -> AsyncIterator[tuple[int, AsyncIterator[Frame]]]:
        """Sends a request; leaving the block drops the connection. Tells the worker's port."""
        async with self.http.stream("POST", self.running.url, json=request) as response:
            if response.status_code != 200:
                raise AssertionError(f"{response.status_code}: {await response.aread()!r}")
            yield _worker(response), self._noted(frames_of(response))

    async def _noted(self, frames: AsyncIterator[Frame]) -> AsyncIterator[Frame]:
        async for frame in frames:
            self.frames.append(frame)
            self.last_id = frame.id or self.last_id
            if frame.data.get("type") == "thread.created":
                self.thread_id = frame.data["thread"]["id"]
            if frame.data.get("item", {}).get("type") == "assistant_message":
                # What is done, or begins, or is another worker's account of it.
                self.text = text_of(frame.data["item"])
            self.text += frame.text
            yield frame

    async def read(self, frames: AsyncIterator[Frame], pieces: int) -> None:
        """Reads so many pieces of text."""
        async for frame in frames:
            pieces -= bool(frame.text)
            if not pieces:
                return
        raise AssertionError("The stream ended early.")

    @asynccontextmanager
    async def resume_elsewhere(self, than: int) -> AsyncIterator[tuple[int, AsyncIterator[Frame]]]:
        """Resumes the answer on another worker than the one named."""
        params = {"thread_id": self.thread_id, "after": self.last_id}
        for _ in range(10):
            async with self.stream({"type": "turns.resume", "params": params}) as (worker, frames):
                if worker != than:
                    yield worker, frames
                    return
        raise AssertionError("nginx leads to one worker only.")

    async def ask_someone(self, kind: str, **params: Any) -> tuple[int, dict[str, Any]]:
        response = await self.http.post(self.running.url, json={"type": kind, "params": params})
        assert response.status_code == 200, response.text
        return _worker(response), response.json()

    async def ask(self, kind: str, **params: Any) -> dict[str, Any]:
        return (await self.ask_someone(kind, **params))[1]

    async def stored(self) -> str:
        page = await self.ask("items.list", thread_id=self.thread_id, order="desc", limit=1)
        return text_of(page["data"][0])


def _worker(response: httpx2.Response) -> int:
    # The last of those that nginx tried.
    return int(response.headers["x-worker"].rpartition(":")[2])


@pytest.fixture
async def user(running: Deployment) -> dict[str, str]:
    """Signs a user in, as a program does, and returns the header of the token."""
    return await signed_in(running, "ada")


async def signed_in(running: Deployment, name: str) -> dict[str, str]:
    async with httpx2.AsyncClient(headers={"Accept": "application/json"}) as http:
        answer = await http.post(running.url.replace("/chatkit", "/sign-in"), data={"name": name})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


@pytest.fixture
async def page(running: Deployment, user: dict[str, str]) -> AsyncIterator[Page]:
    async with httpx2.AsyncClient(timeout=scaled(30), headers={**HEADERS, **user}) as http:
        yield Page(running, http)


def test_nginx_accepts_the_configuration(tmp_path_factory: pytest.TempPathFactory) -> None:
    configuration = write_configuration(tmp_path_factory.mktemp("nginx"), 8080, [8001, 8002, 8003])
    assert "test is successful" in check_configuration(nginx_program(), configuration)


async def test_clients_do_not_say_where_they_come_from(tmp_path: Path) -> None:
    """Behind nginx, uvicorn takes the first address of the header for the client's; that has to be nginx's word."""
    app = tmp_path / "who.py"
    app.write_text(
        "from starlette.applications import Starlette\n"
        "from starlette.responses import JSONResponse\n"
        "from starlette.routing import Route\n\n\n"
        "async def who(request):\n"
        "    return JSONResponse([request.client.host, request.url.scheme])\n\n\n"
        "app = Starlette(routes=[Route('/who', who)])\n"
    )
    trusting = {"FORWARDED_ALLOW_IPS": "*"}
    with server_process("who:app", folder=tmp_path, environment=trusting) as worker:
        number = httpx2.URL(worker.url).port or 0
        with nginx(tmp_path, [number] * 3) as port:
            async with httpx2.AsyncClient() as http:
                forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "gopher"}
                answer = await http.get(f"http://127.0.0.1:{port}/who", headers=forged)
    assert answer.json() == ["127.0.0.1", "http"]


async def test_a_browser_signs_in_and_every_worker_knows_the_user(running: Deployment) -> None:
    base = running.url.removesuffix("/chatkit")
    listing = {"type": "threads.list", "params": {}}
    async with httpx2.AsyncClient(base_url=base, timeout=scaled(30)) as http:
        assert (await http.get("/chat/")).status_code == 200
        assert (await http.post("/chatkit", json=listing)).status_code == 401
        answer = await http.post("/sign-in", data={"name": "Grace"})
        assert (answer.status_code, answer.headers["location"]) == (303, "chat/")
        assert "openai-chatkit" in (await http.get("/chat/")).text
        said = await http.post("/chatkit", json=message("help"))
        assert said.status_code == 200
        seen: set[int] = set()
        for _ in range(2 * len(running.workers)):
            listed = await http.post("/chatkit", json=listing)
            assert len(listed.json()["data"]) == 1
            seen.add(_worker(listed))
        assert seen == set(running.workers)
        other = await http.post("/chatkit", json=listing, headers=await signed_in(running, "Ada of the demo"))
        assert other.json()["data"] == []


async def test_an_answer_is_resumed_on_another_worker(page: Page) -> None:
    async with page.stream(resumable(message("long 60"))) as (first, frames):
        await page.read(frames, 5)
    async with page.resume_elsewhere(first) as (_, frames):
        rest = [frame async for frame in frames]
    assert rest[-1].data["status"] == "completed"
    assert page.text == await page.stored()
    assert [line.split()[1] for line in page.text.splitlines()] == [str(number) for number in range(1, 61)]
    ids = [int(frame.id.rpartition(":")[2]) for frame in page.frames if not frame.event]
    assert ids == list(range(1, len(ids) + 1)), "each event once, in order"
    # A proxy that holds them back to compress them passes on many at once.
    arrivals = {frame.at for frame in page.frames if frame.text}
    assert len(arrivals) > 15, "events come as they are made"


async def test_an_answer_is_stopped_from_another_worker(page: Page) -> None:
    async with page.stream(resumable(message("long 500"))) as (first, frames):
        await page.read(frames, 5)
        # nginx passes requests round.
        asked, stopped = await page.ask_someone("turns.stop", thread_id=page.thread_id)
        stored = await page.stored()
        rest = [frame async for frame in frames]
    assert asked != first
    assert len(stopped["stopped"]) == 1
    assert rest[-1].data["status"] == "stopped"
    assert 5 <= page.text.count("\n") < 500
    assert stored == page.text


async def test_a_file_goes_through_the_bucket_into_the_thread(
    page: Page, running: Deployment, user: dict[str, str]
) -> None:
    async with ChatKitClient(running.url, headers=user) as client:
        announced = await client.create_attachment("a.png", len(PNG), "image/png")
        assert announced.upload_descriptor is not None
        assert str(announced.upload_descriptor.url).startswith(running.bucket.endpoint)
        picture = await client.upload(PNG, name="a.png")
        assert isinstance(picture, ImageAttachment)
        async with client.create_thread("Look", attachments=[picture]) as stream:
            await stream.until_done()
    assert "`a.png`" in stream.text
    for _ in running.workers:
        items = await page.ask("items.list", thread_id=stream.thread_id, order="asc", limit=1)
        (attached,) = items["data"][0]["attachments"]
        assert (attached["id"], attached["name"]) == (picture.id, "a.png")
        async with httpx2.AsyncClient() as http:
            assert (await http.get(attached["preview_url"])).content == PNG


async def test_readers_hear_of_a_killed_worker(page: Page, running: Deployment) -> None:
    async with page.stream(resumable(message("long 500"))) as (first, frames):
        await page.read(frames, 5)
        async with page.resume_elsewhere(first) as (_, others):
            await page.read(others, 5)
            running.workers[first].send(signal.SIGKILL)
            async with asyncio.timeout(LEASE + 5):
                rest = [frame async for frame in others]
    try:
        (error,) = [frame.data for frame in rest if frame.data.get("type") == "error"]
        assert (error["reason"], error["allow_retry"]) == ("interrupted", True)
        assert rest[-1].data["status"] == "interrupted"
        assert page.text == await page.stored()
        assert page.text.count("\n") >= 10
        thread = await page.ask("threads.get_by_id", thread_id=page.thread_id)
        assert "active_turn" not in thread
    finally:
        running.workers[first].wait_gone()
        running.workers[first].start()
        await asyncio.to_thread(running.workers[first].wait_ready)


async def test_a_rolling_restart_loses_no_answer(page: Page, running: Deployment) -> None:
    async def replace_all() -> None:
        for worker in running.workers.values():
            worker.send(signal.SIGTERM)
            await asyncio.to_thread(worker.wait_gone)
            worker.start()
            await asyncio.to_thread(worker.wait_ready)

    async with page.stream(resumable(message("long 100"))) as (_, frames):
        await page.read(frames, 5)
        replacing = asyncio.create_task(replace_all())
        rest = [frame async for frame in frames]
        assert rest[-1].data["status"] == "completed"
        assert page.text.count("\n") == 100
        # Others come meanwhile: each message is answered, whatever worker is away.
        answered = 0
        while not replacing.done():
            async with page.stream(resumable(message("help"))) as (_, more):
                assert [frame async for frame in more][-1].data["status"] == "completed"
            answered += 1
        await replacing
    assert answered
    for worker in running.workers.values():
        assert "Traceback" not in worker.log, os.linesep + worker.log
