"""``chatkit serve --workers``: turns that any worker resumes and stops, that survive a kill, and that may end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.client import ChatKitClient
from chatkit.types import ImageAttachment
from tests.acceptance.wire import Frame, frames_of, message, resumable, text_of
from tests.cli.processes import Serving, run, serving
from tests.files.page import PNG
from tests.support.redis import redis_server
from tests.support.s3 import s3_server
from tests.support.scale import is_within, scaled

APP = '''
import asyncio
import os
from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageContent, AssistantMessageContentPartTextDelta, AssistantMessageItem,
    ThreadItemAddedEvent, ThreadItemDoneEvent, ThreadItemUpdatedEvent,
)
from chatkit.errors import AuthenticationError
from chatkit.streams import MemoryStreamLog


class Counting(ChatKitServer):
    """Counts to the number it is given, ten a second."""

    async def respond(self, thread, input, context):
        count = int("".join(part.text for part in input.content))
        item_id = self.store.generate_item_id("message", thread, context)

        def item(text):
            return AssistantMessageItem(
                id=item_id, thread_id=thread.id, content=[AssistantMessageContent(text=text)]
            )

        yield ThreadItemAddedEvent(item=item(f"{os.getpid()} "))
        for number in range(count):
            await asyncio.sleep(0.1)
            yield ThreadItemUpdatedEvent(
                item_id=item_id,
                update=AssistantMessageContentPartTextDelta(content_index=0, delta=f"{number} "),
            )
        yield ThreadItemDoneEvent(item=item(f"{os.getpid()} " + "".join(f"{number} " for number in range(count))))


class Choosy(Counting):
    def __init__(self, store):
        super().__init__(store, stream_log=MemoryStreamLog())


def worker(request):
    # Answered with an error that names the process, so that a test knows whom its connection leads to.
    if request.headers.get("x-who"):
        raise AuthenticationError(str(os.getpid()))
    return {"user_id": "ada"}
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("app.py").write_text(APP)
    return tmp_path


class Connection:
    """One kept-alive connection, which leads to one worker as long as it lives."""

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self.http = http
        self.url = url
        self.pid = 0

    async def identify(self) -> int:
        answer = await self.http.post(self.url, json={}, headers={"x-who": "1"})
        assert answer.status_code == 401
        self.pid = int(answer.json()["error"]["message"])
        return self.pid

    @asynccontextmanager
    async def stream(self, request: dict[str, Any]) -> AsyncIterator[AsyncIterator[Frame]]:
        async with self.http.stream("POST", self.url, json=request) as response:
            assert response.status_code == 200, await response.aread()
            yield frames_of(response)

    async def ask(self, kind: str, **params: Any) -> dict[str, Any]:
        response = await self.http.post(self.url, json={"type": kind, "params": params})
        assert response.status_code == 200, response.text
        return response.json()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    limits = httpx2.Limits(max_connections=1, max_keepalive_connections=1)
    async with httpx2.AsyncClient(timeout=scaled(30), limits=limits) as http:
        yield Connection(http, url)


@asynccontextmanager
async def two_workers(server: Serving) -> AsyncIterator[tuple[Connection, Connection]]:
    """Returns connections to two different workers of a server."""
    async with asyncio.timeout(scaled(60)), connected(server.url) as first:
        while True:
            try:
                await first.identify()
                break
            except httpx2.TransportError:
                # Announced is the port; the workers are still starting.
                await asyncio.sleep(0.05)
        while True:
            async with connected(server.url) as second:
                if await second.identify() != first.pid:
                    yield first, second
                    return
            await asyncio.sleep(0.05)


@pytest.fixture(params=["redis", "postgres", "own", "redis and sqlite", "sqlite"])
def where(request: pytest.FixtureRequest, postgres_database: str, redis_url: str) -> list[str]:
    """Returns the options of each way in which workers can share their turns."""
    number = os.getpid() % 15 + 1
    redis = f"{redis_url.removesuffix('/0')}/{number}"
    return {
        "redis": ["--db", postgres_database, "--stream-log", redis],
        "postgres": ["--db", "threads.db", "--stream-log", postgres_database],
        "own": ["--db", postgres_database],
        "redis and sqlite": ["--db", "threads.db", "--stream-log", redis],
        "sqlite": ["--db", "threads.db"],
    }[request.param]


def command(where: list[str], *more: str) -> list[str]:
    return ["app:Counting", "--port", "0", "--workers", "2", "--context", "app:worker", *where, *more]


async def read_until(frames: AsyncIterator[Frame], word: str) -> tuple[str, str, str]:
    """Reads on until a word came; returns thread, last event id and text."""
    thread_id = text = ""
    async for frame in frames:
        thread_id = thread_id or frame.data.get("thread", {}).get("id", "")
        if frame.data.get("type") == "thread.item.added":
            text = text_of(frame.data["item"])
        text += frame.text
        if frame.text.strip() == word:
            return thread_id, frame.id, text
    raise AssertionError("The stream ended early.")


async def stored_text(connection: Connection, thread_id: str) -> str:
    page = await connection.ask("items.list", thread_id=thread_id, order="desc", limit=1)
    return text_of(page["data"][0])


async def test_a_turn_is_resumed_and_stopped_from_the_other_worker(folder: Path, where: list[str]) -> None:
    with serving(*command(where), folder=folder) as server:
        async with two_workers(server) as (first, second):
            async with first.stream(resumable(message("600"))) as frames:
                thread_id, after, seen = await read_until(frames, "3")
            assert seen == f"{first.pid} 0 1 2 3 "
            await second.identify()
            resume = {"type": "turns.resume", "params": {"thread_id": thread_id, "after": after}}
            async with second.stream(resume) as frames:
                _, _, more = await read_until(frames, "6")
                assert more == "4 5 6 ", "exactly what follows"
                async with connected(server.url) as other:
                    stopped = await other.ask("turns.stop", thread_id=thread_id)
                    assert len(stopped["stopped"]) == 1
                    stored = await stored_text(other, thread_id)
                rest = [frame async for frame in frames]
            assert rest[-1].event == "turn.end"
            assert rest[-1].data["status"] == "stopped"
            text = seen + more + "".join(frame.text for frame in rest)
            assert stored == text


@pytest.mark.parametrize("where", ["redis", "own", "sqlite"], indirect=True)
async def test_a_turn_of_a_killed_worker_ends_with_its_partial_text(folder: Path, where: list[str]) -> None:
    with serving(*command(where, "--lease", "3"), folder=folder) as server:
        async with two_workers(server) as (first, second):
            async with first.stream(resumable(message("600"))) as frames:
                thread_id, after, seen = await read_until(frames, "3")
                resume = {"type": "turns.resume", "params": {"thread_id": thread_id, "after": after}}
                async with second.stream(resume) as others:
                    # What another worker has shown is safe; the dead one's last 50 ms are not.
                    _, _, more = await read_until(others, "6")
                    os.kill(first.pid, signal.SIGKILL)
                    killed_at = asyncio.get_running_loop().time()
                    rest = [frame async for frame in others]
                    assert is_within(asyncio.get_running_loop().time() - killed_at, 3 + 5)
            errors = [frame.data for frame in rest if frame.data.get("type") == "error"]
            assert [(error["reason"], error["allow_retry"]) for error in errors] == [("interrupted", True)]
            assert rest[-1].event == "turn.end"
            assert rest[-1].data["status"] == "interrupted"
            done = [frame.done_item for frame in rest if frame.done_item is not None]
            assert [text_of(item) for item in done] == [await stored_text(second, thread_id)]
            assert text_of(done[0]).startswith(seen + more)
        assert server.process.poll() is None, "the command starts another worker"


async def test_turns_may_end_when_the_workers_are_asked_to(folder: Path, postgres_database: str) -> None:
    arguments = command(["--db", postgres_database], "--drain-seconds", "30")
    with serving(*arguments, folder=folder) as server:
        async with two_workers(server) as (first, _):
            async with first.stream(resumable(message("20"))) as frames:
                await read_until(frames, "3")
                server.process.terminate()
                rest = [frame async for frame in frames]
            assert rest[-1].data["status"] == "completed"
            assert "".join(frame.text for frame in rest).endswith("18 19 ")
        assert await asyncio.to_thread(server.process.wait, scaled(30)) == 0


async def test_workers_are_replaced_one_by_one_without_an_end_of_turns(
    folder: Path, postgres_database: str
) -> None:
    arguments = command(["--db", postgres_database], "--drain-seconds", "30")
    with serving(*arguments, folder=folder) as server:
        async with two_workers(server) as (first, second):
            async with first.stream(resumable(message("30"))) as frames:
                await read_until(frames, "3")
                server.process.send_signal(signal.SIGHUP)
                rest = [frame async for frame in frames]
            assert rest[-1].data["status"] == "completed"
            old = {first.pid, second.pid}
        async with asyncio.timeout(scaled(80)):
            found, new = old, set[int]()
            while len(new) < 2 or found & old:
                # The workers that start need the processors.
                await asyncio.sleep(0.1)
                found = set()
                for _ in range(8):
                    async with connected(server.url) as connection:
                        found.add(await connection.identify())
                new |= found - old
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait, scaled(30)) == 0


async def test_turns_get_no_more_time_than_they_are_given(folder: Path, postgres_database: str) -> None:
    arguments = ["app:Counting", "--port", "0", "--context", "app:worker", "--db", postgres_database]
    with serving(*arguments, folder=folder, CHATKIT_DRAIN_SECONDS="1") as server:
        async with connected(server.url) as connection:
            async with connection.stream(resumable(message("600"))) as frames:
                await read_until(frames, "3")
                server.process.terminate()
                rest = [frame async for frame in frames]
            assert rest[-1].data["status"] == "interrupted"
            assert len([frame for frame in rest if frame.text]) >= 8, "a second, and no less"
        await asyncio.to_thread(server.process.wait, scaled(5))


async def test_a_worker_that_ends_does_not_wait_for_turns_of_others(
    folder: Path, postgres_database: str
) -> None:
    """A client that reads such a turn goes on elsewhere; the worker neither keeps them nor calls that a fault."""
    options = ["app:Counting", "--port", "0", "--context", "app:worker", "--db", postgres_database]
    options += ["--drain-seconds", "60", "--log-level", "info"]
    with serving(*options, folder=folder) as first, serving(*options, folder=folder) as second:
        async with (
            connected(first.url) as runs,
            connected(second.url) as reads,
            runs.stream(resumable(message("600"))) as frames,
        ):
            thread_id, after, _ = await read_until(frames, "3")
            resume = {"type": "turns.resume", "params": {"thread_id": thread_id, "after": after}}
            async with reads.stream(resume) as others:
                _, after, _ = await read_until(others, "6")
                second.process.terminate()
                rest = [frame async for frame in others]
            assert not [frame for frame in rest if frame.event or frame.data.get("type") == "error"]
            after = rest[-1].id if rest else after
            await asyncio.to_thread(second.process.wait, scaled(10))
            assert second.process.stderr is not None
            log = second.process.stderr.read()
            assert "Traceback" not in log
            assert "running task" not in log
            assert "Running turns have 60 s to end" in log, "our own messages follow --log-level"
            resume["params"] = {"thread_id": thread_id, "after": after}
            async with connected(first.url) as elsewhere, elsewhere.stream(resume) as others:
                await read_until(others, "20")


def test_a_context_that_is_not_there_is_said_once(folder: Path, postgres_database: str) -> None:
    """And not by each worker, which would be started again for ever."""
    options = ["--workers", "2", "--context", "app:nobody"]
    done = run("serve", "app:Counting", "--port", "0", *options, folder=folder, CHATKIT_DB=postgres_database)
    assert done.returncode == 1
    assert done.stderr == "chatkit serve: The module 'app' has no attribute 'nobody'.\n"


async def test_files_in_a_bucket_by_configuration_alone(folder: Path) -> None:
    bucket = s3_server()
    credentials = {
        "AWS_ACCESS_KEY_ID": bucket.access_key_id,
        "AWS_SECRET_ACCESS_KEY": bucket.secret_access_key,
    }
    url = f"s3://{bucket.bucket}/by-configuration?region={bucket.region}&endpoint={bucket.endpoint}"
    with serving("--port", "0", "--files", url, folder=folder, **credentials) as server:
        said = f"Attached files are kept in the bucket {bucket.bucket} at {bucket.endpoint}."
        assert said in server.announcement
        async with ChatKitClient(server.url) as client:
            picture = await client.upload(PNG, name="a.png")
            assert isinstance(picture, ImageAttachment)
            assert str(picture.preview_url).startswith(f"{bucket.endpoint}/{bucket.bucket}/by-configuration/")
            async with client.create_thread("Look", attachments=[picture]) as stream:
                await stream.until_done()
            assert "`a.png`" in stream.text
            assert stream.thread_id is not None
            async with httpx2.AsyncClient() as http:
                assert (await http.get(str(picture.preview_url))).content == PNG
                page = await http.get(server.url.removesuffix("/chatkit"))
            if page.status_code == 200:
                policy = page.headers["content-security-policy"]
                assert f"connect-src 'self' {bucket.endpoint};" in policy
                assert f"https: {bucket.endpoint};" in policy
            await client.delete_thread(stream.thread_id)
    assert not (folder / "chatkit-files").exists()
    missing = url.replace(f"s3://{bucket.bucket}", "s3://no-such-bucket")
    for options, keys, expected in (
        (["--files", missing], credentials, "cannot be used: NoSuchBucket"),
        (["--files", url], {**credentials, "AWS_SECRET_ACCESS_KEY": "Wrong-1"}, "SignatureDoesNotMatch"),
    ):
        done = run("serve", "--port", "0", *options, folder=folder, **keys)
        assert done.returncode == 1
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1


KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "Secret-1"}


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--stream-log", "mysql://u:Secret-1@db/x"], {}, "redis://host:6379/0"),
        ([], {"CHATKIT_STREAM_LOG": "redis://u:Secret-1@127.0.0.1:1/0"}, "127.0.0.1:1/0 cannot be reached"),
        ([], {"CHATKIT_STREAM_LOG": "redis://u:Secret-1@h:many/0"}, "no URL of a Redis server"),
        ([], {"CHATKIT_STREAM_LOG": "redis://:Secret-1#Secret-1@h/0"}, "%23 for #"),
        ([], {"CHATKIT_STREAM_LOG": "redis://:7/Secret-1@h/0"}, "%2F for /"),
        ([], {"CHATKIT_STREAM_LOG": "redis://:7?Secret-1@h/0"}, "%3F for ?"),
        ([], {"CHATKIT_STREAM_LOG": "redis://127.0.0.1:1/first"}, "the number of a database"),
        (
            ["--stream-log", "postgresql://u:Secret-1@127.0.0.1:1/x"],
            {},
            "database x at 127.0.0.1:1 cannot be reached",
        ),
        (["app:Choosy", "--stream-log", "redis://h"], {}, "--stream-log has no effect on app:Choosy"),
        (["app:Choosy", "--workers", "2"], {}, "2 workers cannot share MemoryStreamLog"),
        (["--files", "s3://bucket"], {}, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (["--files", "s3://"], KEYS, "A bucket is written s3://"),
        (["--files", "s3://bucket?color=red"], KEYS, "A bucket is written s3://"),
        (["--files", "s3://a:Secret-1@bucket"], KEYS, "A bucket is written s3://"),
        (["--files", "s3://bucket?endpoint=localhost:9"], KEYS, "http://... or https://..."),
        (
            ["--files", "s3://bucket?endpoint=http://127.0.0.1:1"],
            KEYS,
            "cannot be reached: check the endpoint",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    arguments: list[str], environment: dict[str, str], expected: str, folder: Path
) -> None:
    done = run("serve", "--port", "0", *arguments, folder=folder, **environment)
    assert done.returncode == 1
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Secret-1" not in done.stderr


def test_a_whole_application_is_told_how_many_workers_serve_it(folder: Path) -> None:
    text = "app = create_app(Choosy(MemoryStore()), context=single_user())"
    folder.joinpath("whole.py").write_text(
        "from app import Choosy\nfrom chatkit.store import MemoryStore\n"
        f"from chatkit.web import create_app, single_user\n\n{text}\n"
    )
    done = run("serve", "whole:app", "--port", "0", "--workers", "2", folder=folder, WEB_CONCURRENCY="1")
    assert done.returncode == 1
    assert "2 workers cannot share MemoryStreamLog" in done.stderr
    with serving("whole:app", "--port", "0", folder=folder, WEB_CONCURRENCY="2"):
        pass


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("redis", ["--stream-log", "redis://127.0.0.1/0"], "redis"),
        ("asyncpg", ["--stream-log", "postgresql://localhost/x"], "postgres"),
        ("obstore", ["--files", "s3://bucket"], "s3"),
    ],
)
def test_a_missing_extra_is_named(missing: str, arguments: list[str], extra: str, folder: Path) -> None:
    folder.joinpath(f"{missing}.py").write_text(f"raise ModuleNotFoundError('not here', name='{missing}')\n")
    done = run("serve", "--port", "0", *arguments, folder=folder, cold=True, PYTHONPATH=str(folder), **KEYS)
    assert done.returncode == 1
    assert re.search(rf"pip install '\S+\[{extra}\]'", done.stderr)
    assert done.stderr.count("\n") == 1, done.stderr


def test_times_that_are_none(folder: Path) -> None:
    for arguments, environment in (
        (["--lease", "0.9"], {}),
        (["--drain-seconds", "-1"], {}),
        (["--drain-seconds", "nan"], {}),
        ([], {"CHATKIT_LEASE": "soon"}),
        ([], {"CHATKIT_DRAIN_SECONDS": "inf"}),
    ):
        done = run("serve", *arguments, folder=folder, **environment)
        assert done.returncode == 2
        assert "a number of seconds" in done.stderr


def test_a_redis_server_that_wants_a_password(folder: Path) -> None:
    with redis_server("--requirepass", "Secret-1", "--save", "") as server:
        done = run("serve", "--port", "0", "--stream-log", server.url, folder=folder)
    assert done.returncode == 1
    assert "Correct user and password in the URL" in done.stderr
    assert done.stderr.count("\n") == 1
