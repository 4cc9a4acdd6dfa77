"""``chatkit hosted import``: from real servers, with the real client, into real databases."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from chatkit.cli.main import main
from chatkit.errors import StoreError
from chatkit.files import LocalFileStore
from chatkit.hosted.context import owner_of
from chatkit.hosted.importing import IMPORTED, Importer
from chatkit.hosted.paging import PageRequest
from chatkit.store import MemoryStore, OwnerContext, PostgresStore, SQLiteStore, Store
from chatkit.types import ThreadItem
from tests.cli.processes import completed, environment, run, started
from tests.hosted.sample import ACME, HTTP, Caller, Hosted, Page, hosted
from tests.support.live_server import live_server
from tests.support.scale import scaled

OPENAI_KEY = "sk-proj-0123456789abcdefghij"
ALL_BROUGHT, REFUSED, LEFT_OUT = 0, 1, 3


@dataclass
class Database:
    """Where the threads come to.

    Attributes:
        name: As ``--db`` takes it.
        folder: For files.
    """

    name: str
    folder: Path

    def store(self) -> Store[Any]:
        return PostgresStore(self.name) if self.name.startswith("postgres") else SQLiteStore(self.name)

    def bring(self, url: str, *more: str, key_env: str = "SOURCE_KEY") -> int:
        given = ["--from", f"{url}/v1", "--key-env", key_env, "--tenant", "acme", "--workflow", "wf_b"]
        return main(["hosted", "import", *given, "--db", self.name, *more])

    def load(self, thread_id: str, user: str = "ada") -> Any:
        async def load() -> Any:
            store = self.store()
            try:
                return await store.load_thread(thread_id, OwnerContext(owner_of("acme", user, "wf_b")))
            finally:
                await store.close()

        return asyncio.run(load())


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_KEY", ACME)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(str(tmp_path / "here.db"), tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "postgres":
        return Database(request.getfixturevalue("postgres_database"), tmp_path)
    return Database(str(tmp_path / "here.db"), tmp_path)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Hosted]:
    files = LocalFileStore(tmp_path / "files")
    with hosted(SQLiteStore(tmp_path / "there.db"), files=files, requests_per_minute=None) as found:
        yield found


def page_of(server: Hosted, user: str, workflow: str = "wf_a") -> Page:
    uploads = {"file_upload": {"enabled": True}}
    return server.page(server.session(user, workflow, chatkit_configuration=uploads).client_secret)


def attach(page: Page, name: str) -> str:
    files = {"file": (name, b"a", "text/plain")}
    answer = HTTP.post(
        f"{page.url}/chatkit/files", files=files, headers={"Authorization": f"Bearer {page.secret}"}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def shown(url: str) -> list[tuple[Any, list[Any]]]:
    """Returns all threads, and the items of each, as the real client reads them from the API."""
    call = Caller("sync", url)
    return [
        (thread.to_dict(), [item.to_dict() for item in call("threads.list_items", thread.id, order="asc")])
        for thread in call("threads.list", order="asc")
    ]


def test_threads_come_over_as_the_api_of_both_shows_them(
    there: Hosted, any_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    ada, bob = page_of(there, "ada"), page_of(there, "b/o%b")
    every = ada.say(
        "everything",
        quoted_text="quoted",
        inference_options={"model": "a", "tool_choice": {"id": "b"}},
        content=[
            {"type": "input_text", "text": "everything"},
            {"type": "input_tag", "id": "t", "text": "", "data": {}},
        ],
        attachments=[attach(ada, "a.txt")],
    )
    ada.post("threads.add_client_tool_output", thread_id=every, result={"found": [1]})
    plain = [bob.say("one"), ada.say("two")]
    bob.say("three", plain[0])
    before = shown(there.url)
    assert [thread["id"] for thread, _ in before] == [every, *plain]
    assert {item["type"] for item in before[0][1]} == {
        f"chatkit.{kind}"
        for kind in ("user_message", "assistant_message", "widget", "task", "task_group", "client_tool_call")
    }

    assert any_database.bring(there.url) == LEFT_OUT
    said = capsys.readouterr().out
    assert f"3 new, 0 changed, 0 the same.\nItems: {sum(len(items) for _, items in before)} added" in said
    assert "Left out: 1 attached files; their names are kept." in said
    assert "no generated pictures" in said

    files = LocalFileStore(any_database.folder / "files here")
    with hosted(any_database.store(), files=files, requests_per_minute=None) as here:
        assert shown(here.url) == before
        mine = page_of(here, "ada", "wf_b").post("threads.list", limit=10, order="asc").json()["data"]
        assert [thread["id"] for thread in mine] == [every, plain[1]]

        # Again: nothing is written.
        stamps = [any_database.load(name).updated_at for name in (every, plain[1])]
        assert any_database.bring(there.url) == LEFT_OUT
        assert (
            "0 new, 0 changed, 3 the same.\nItems: 0 added, 0 replaced, 0 removed" in capsys.readouterr().out
        )
        assert [any_database.load(name).updated_at for name in (every, plain[1])] == stamps

        # What is new there comes, and nothing else.
        bob.say("four", plain[0])
        ada.say("five")
        bob.say("six")
        assert any_database.bring(there.url, "--user", "ada") == LEFT_OUT
        assert "1 new, 0 changed, 2 the same.\nItems: 2 added" in capsys.readouterr().out
        assert any_database.bring(there.url, "--user", "b/o%b") == ALL_BROUGHT
        assert "1 new, 1 changed, 0 the same.\nItems: 4 added" in capsys.readouterr().out
        after = shown(there.url)
        assert len(after) == 5
        assert sorted(shown(here.url), key=_id) == sorted(after, key=_id)

        # It goes on here, and can be deleted, the files that are not there included.
        page_of(here, "b/o%b", "wf_b").say("here", plain[0])
        Caller("sync", here.url)("threads.delete", every)
        kept = [entry for entry in shown(here.url) if entry[0]["id"] == plain[0]]
        assert any_database.bring(there.url, "--user", "b/o%b") == ALL_BROUGHT
        bob.say("there", plain[0])
        assert any_database.bring(there.url, "--user", "b/o%b") == LEFT_OUT
        captured = capsys.readouterr()
        assert "1 the same, 1 left as they are here" in captured.out
        assert f"{plain[0]}: it went on here and at the source" in captured.err
        assert [entry for entry in shown(here.url) if entry[0]["id"] == plain[0]] == kept


def _id(entry: tuple[Any, list[Any]]) -> str:
    return entry[0]["id"]


@dataclass
class Source:
    """An API that shows what it was given, page by page, and fails as it is told to.

    Attributes:
        items: The items of each thread.
        threads: The threads.
        failures: Answers to be given first, by the end of the path.
        asked: The paths that were asked for.
        holding: A path that sets ``held``, and whose answer waits for ``released``.
    """

    items: dict[str, list[dict[str, Any]]]
    threads: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, list[Response]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    holding: str = ""
    held: Event = field(default_factory=Event)
    released: Event = field(default_factory=Event)
    url: str = ""

    def __post_init__(self) -> None:
        self.threads = self.threads or [thread(name, 1000) for name in self.items]

    async def answer(self, request: Request) -> Response:
        path = request.url.path.removeprefix("/v1/chatkit/")
        self.asked.append(path)
        if path == self.holding:
            self.held.set()
            await asyncio.to_thread(self.released.wait, scaled(60))
        if self.failures.get(path):
            return self.failures[path].pop(0)
        name = request.path_params.get("name")
        entries = self.threads if name is None else self.items[name]

        async def load(order: str, after: str | None, count: int) -> list[dict[str, Any]]:
            found = entries if order == "asc" else entries[::-1]
            ids = [entry["id"] for entry in found]
            return found[0 if after is None else ids.index(after) + 1 :][:count]

        return JSONResponse(await PageRequest.of(request.query_params).load(load))


@pytest.fixture
def source() -> Iterator[Source]:
    found = Source({"thr_z": [message("m1", "one")], "thr_a": [message("m2", "two")], "thr_m": []})
    paths = ("/v1/chatkit/threads", "/v1/chatkit/threads/{name}/items")
    app = Starlette(routes=[Route(path, found.answer) for path in paths])
    with live_server(app) as server:
        found.url = server.url
        yield found


def thread(name: str, created_at: int, **more: Any) -> dict[str, Any]:
    shown = {"id": name, "object": "chatkit.thread", "created_at": created_at, "user": "ada"}
    return {**shown, "title": f"About {name}", "status": {"type": "active"}, **more}


def entry(name: str, kind: str, /, **more: Any) -> dict[str, Any]:
    shown = {"id": name, "object": "chatkit.thread_item", "created_at": 1000, "thread_id": "thr"}
    return {**shown, "type": f"chatkit.{kind}", **more}


def message(name: str, text: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "output_text", "text": text, "annotations": []}]
    return entry(name, "assistant_message", content=content)


def failure(status: int, text: str = "no", /, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"error": {"message": text}}, status, named)


def final(status: int, **headers: str) -> Response:
    """An answer that the client does not ask again for."""
    return failure(status, x_should_retry="false", **headers)


def test_threads_of_one_second_keep_their_order(source: Source, database: Database) -> None:
    for _ in range(2):
        assert database.bring(source.url) == ALL_BROUGHT
        with hosted(database.store()) as here:
            found = shown(here.url)
        assert [thread["id"] for thread, _ in found] == ["thr_z", "thr_a", "thr_m"]
        assert {thread["created_at"] for thread, _ in found} == {1000}


def test_what_changed_at_the_source_is_replaced(
    source: Source, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    source.items["thr_z"] = [message(name, name) for name in ("m1", "m2", "m3")]
    assert database.bring(source.url) == ALL_BROUGHT
    # One is edited, one answered anew; the thread is closed.
    source.items["thr_z"] = [message("m1", "edited"), message("m4", "anew"), message("m5", "more")]
    source.threads[0]["status"] = {"type": "closed", "reason": "over"}
    capsys.readouterr()
    assert database.bring(source.url) == ALL_BROUGHT
    assert "1 changed, 2 the same.\nItems: 2 added, 1 replaced, 2 removed, 1 same." in capsys.readouterr().out
    with hosted(database.store()) as here:
        (found, items), *_ = shown(here.url)
    assert found["status"] == {"type": "closed", "reason": "over"}
    texts = [(item["id"], item["content"][0]["text"]) for item in items]
    assert texts == [("m1", "edited"), ("m4", "anew"), ("m5", "more")]


def test_a_title_that_was_changed_here_stays_until_the_source_changes_its_own(
    source: Source, database: Database
) -> None:
    async def rename() -> None:
        store = database.store()
        context = OwnerContext(owner_of("acme", "ada", "wf_b"))
        await store.save_thread_fields("thr_z", {"title": "Mine"}, context)
        await store.close()

    assert database.bring(source.url) == ALL_BROUGHT
    asyncio.run(rename())
    assert database.bring(source.url) == ALL_BROUGHT
    assert database.load("thr_z").title == "Mine"
    source.threads[0]["title"] = "Theirs"
    assert database.bring(source.url) == ALL_BROUGHT
    kept = database.load("thr_z")
    assert kept.title == "Theirs"
    assert kept.metadata[IMPORTED]["from"] == f"{source.url}/v1"


def test_what_cannot_be_kept_is_counted_and_the_rest_comes(
    source: Source, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    cited = [
        {"type": "entity", "source": {"type": "entity", "id": "a"}},
        {"type": "url", "source": {"type": "url", "url": "https://example.com"}},
    ]
    tool = {"call_id": "c", "name": "t", "status": "completed"}
    source.items["thr_z"] = [
        entry("i1", "widget", widget="{"),
        entry("i2", "widget", widget='{"type": "Nothing"}'),
        entry("i3", "hologram"),
        entry(
            "i4", "assistant_message", content=[{"type": "output_text", "text": "a", "annotations": cited}]
        ),
        entry("i5", "client_tool_call", arguments="[1]", output=None, **tool),
        entry("i6", "client_tool_call", arguments="{}", output="no JSON", **tool),
        entry(
            "i7",
            "user_message",
            content=[{"type": "input_text", "text": "a"}, {"type": "input_smell", "smell": "b"}],
            attachments=[
                {"id": name, "name": name, "type": "image", "mime_type": "image/png", "preview_url": None}
                for name in ("a.png", "b.png")
            ],
            inference_options=None,
        ),
        entry("i8", "task", task_type="thought", heading=None, summary=None),
        entry("i\0", "task", task_type="thought", heading=None, summary=None),
    ]
    assert database.bring(source.url) == LEFT_OUT
    lines = capsys.readouterr().out.splitlines()
    assert [line.removeprefix("Left out: ") for line in lines if line.startswith("Left out: ")] == [
        "2 attached files; their names are kept.",
        "1 citations of a kind that is not known here.",
        "1 items of a kind that is not known here.",
        "2 items that cannot be read.",
        "1 parts of messages of a kind that is not known here.",
        "1 results of client tools that are no JSON; they are kept as text.",
        "2 widgets that cannot be read.",
    ]
    with hosted(database.store()) as here:
        (_, items), *_ = shown(here.url)
    assert [item["id"] for item in items] == ["i4", "i6", "i7", "i8"]
    assert [found["source"] for found in items[0]["content"][0]["annotations"]] == [cited[1]["source"]]
    assert items[1]["output"] == '"no JSON"'
    assert [(found["name"], found["type"]) for found in items[2]["attachments"]] == [
        ("a.png", "file"),
        ("b.png", "file"),
    ]


def test_pages_are_gone_through(source: Source, database: Database) -> None:
    source.items["thr_z"] = [message(f"m{number}", str(number)) for number in range(230)]
    assert database.bring(source.url) == ALL_BROUGHT
    assert source.asked.count("threads/thr_z/items") == 3
    with hosted(database.store()) as here:
        (_, items), *_ = shown(here.url)
    assert [item["id"] for item in items] == [f"m{number}" for number in range(230)]


def test_what_is_busy_is_asked_again(source: Source, database: Database) -> None:
    source.failures = {
        "threads": [failure(503, retry_after_ms="1")],
        "threads/thr_z/items": [failure(429, retry_after_ms="1"), failure(500, retry_after_ms="1")],
    }
    assert database.bring(source.url) == ALL_BROUGHT
    assert source.asked.count("threads/thr_z/items") == 3
    assert source.asked.count("threads") == 2


def test_a_thread_that_fails_does_not_stop_the_others(
    source: Source, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    source.failures = {"threads/thr_z/items": [final(500)]}
    source.threads[1]["user"] = ""
    assert database.bring(source.url) == LEFT_OUT
    captured = capsys.readouterr()
    assert "Threads: 1 new, 0 changed, 0 the same, 2 not brought." in captured.out
    assert "thr_z: not brought, or not wholly: The source fails (500: no)" in captured.err
    assert "thr_a: not brought, or not wholly: the name of its user cannot be used here" in captured.err
    source.threads[1]["user"] = "ada"
    assert database.bring(source.url) == ALL_BROUGHT
    assert "2 new, 0 changed, 1 the same." in capsys.readouterr().out


def test_an_import_that_the_source_ended_goes_on(
    source: Source, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    source.failures = {"threads/thr_a/items": [final(429, retry_after="500")]}
    assert database.bring(source.url) == REFUSED
    captured = capsys.readouterr()
    assert "1 new" in captured.out
    assert "takes no more requests for 500 s (429: no). Run this again later" in captured.err
    assert "threads/thr_m/items" not in source.asked
    assert database.bring(source.url) == ALL_BROUGHT
    assert (
        "2 new, 0 changed, 1 the same.\nItems: 1 added, 0 replaced, 0 removed, 1 same"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_import_whose_process_ended_goes_on(
    source: Source, tmp_path: Path, sign: signal.Signals, code: int
) -> None:
    source.holding = "threads/thr_a/items"
    arguments = ["hosted", "import", "--from", f"{source.url}/v1", "--tenant", "acme", "--workflow", "wf_b"]
    variables = environment(OPENAI_API_KEY=ACME, CHATKIT_DB="here.db")
    with started(*arguments, folder=tmp_path, env=variables) as process:
        assert source.held.wait(scaled(60))
        process.send_signal(sign)
        assert completed(process, timeout=scaled(60)).returncode == code
    source.released.set()
    source.holding = ""
    done = run(*arguments, folder=tmp_path, OPENAI_API_KEY=ACME, CHATKIT_DB="here.db")
    assert done.returncode == ALL_BROUGHT
    assert "2 new, 0 changed, 1 the same.\nItems: 1 added, 0 replaced, 0 removed, 1 same." in done.stdout


class Ending(MemoryStore[Any]):
    """Fails once as many items were added as it has room for."""

    room = 2

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: Any) -> None:
        if self.room == 0:
            raise StoreError("full")
        self.room -= 1
        await super().add_thread_item(thread_id, item, context)


async def test_an_import_that_ended_within_a_thread_goes_on() -> None:
    store = Ending()
    items = [message(f"m{number}", str(number)) for number in range(5)]

    async def entries() -> AsyncIterator[dict[str, Any]]:
        for item in items:
            yield item

    with pytest.raises(StoreError):
        await Importer(store, "acme", "wf_b", "there").bring(thread("thr", 1), entries())
    store.room = 10
    outcomes = [
        await Importer(store, "acme", "wf_b", "there").bring(thread("thr", 1), entries()) for _ in range(2)
    ]
    assert outcomes == ["changed", "same"]
    assert store.room == 10 - 3
    context = OwnerContext(owner_of("acme", "ada", "wf_b"))
    page = await store.load_thread_items("thr", None, 10, "asc", context)
    assert [item.id for item in page.data] == [item["id"] for item in items]


def test_a_thread_is_brought_into_one_workflow(
    source: Source, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert database.bring(source.url) == ALL_BROUGHT
    assert database.bring(source.url, "--workflow", "wf_a") == LEFT_OUT
    captured = capsys.readouterr()
    assert "3 not brought" in captured.out
    assert "here already, as a thread of the user ada in the workflow wf_b" in captured.err


def test_a_key_that_is_refused_is_told(
    there: Hosted, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in ("ck-wrong-0123456789abcdef", OPENAI_KEY):
        monkeypatch.setenv("SOURCE_KEY", wrong)
        assert database.bring(there.url) == REFUSED
        captured = capsys.readouterr()
        assert "The source refuses the key of SOURCE_KEY (401: " in captured.err
        assert wrong not in captured.err
        assert captured.out == ""


def test_a_key_is_not_taken_as_an_argument(
    source: Source, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in (OPENAI_KEY, ACME):
        assert database.bring(source.url, key_env=given) == REFUSED
        captured = capsys.readouterr()
        assert "looks like a key" in captured.err
        assert given not in captured.err
    monkeypatch.delenv("SOURCE_KEY")
    assert database.bring(source.url) == REFUSED
    assert "SOURCE_KEY has no API key" in capsys.readouterr().err
    monkeypatch.setenv("SOURCE_KEY", OPENAI_KEY)
    assert database.bring("http://chat.example.com") == REFUSED
    assert "not sent without encryption" in capsys.readouterr().err
    assert source.asked == []


def test_what_is_no_source_is_told(
    source: Source, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    source.failures = {"threads": [HTMLResponse("<p>hello"), final(404)]}
    assert database.bring(source.url) == REFUSED
    assert "not as ChatKit's API does" in capsys.readouterr().err
    assert database.bring(source.url) == REFUSED
    assert "no such thing (404: no)" in capsys.readouterr().err
    assert database.bring("ftp://a") == REFUSED
    assert "--from is an address" in capsys.readouterr().err
    assert database.bring(source.url, "--tenant", "a/b") == REFUSED
    assert "--tenant is 1 to 100 letters" in capsys.readouterr().err


def test_without_the_client_it_says_how_to_get_it(
    source: Source, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    assert database.bring(source.url) == REFUSED
    assert "pip install 'openai" in capsys.readouterr().err
