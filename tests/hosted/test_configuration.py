"""``chatkit_configuration`` takes effect: titles, files and history; so does what the workflow is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.counters import Counter, MemoryCounter, PostgresCounter, RedisCounter, SQLiteCounter
from chatkit.files import LocalFileStore
from chatkit.ids import new_id
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from tests.hosted.sample import HTTP, Caller, Hosted, Page, hosted
from tests.hosted.test_isolation import running_turn


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    files = LocalFileStore(tmp_path_factory.mktemp("files"))
    with hosted(MemoryStore(), files=files, requests_per_minute=None) as found:
        yield found


def page_of(running: Hosted, user: str = "ada", **configuration: Any) -> Page:
    return running.page(running.session(user, chatkit_configuration=configuration).client_secret)


def threads(page: Page, **params: Any) -> dict[str, Any]:
    answer = page.post("threads.list", **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("titling", "title"), [({}, "About a"), ({"enabled": True}, "About a"), ({"enabled": False}, None)]
)
def test_titles(running: Hosted, titling: dict[str, Any], title: str | None) -> None:
    thread_id = page_of(running, automatic_thread_titling=titling).say("a")
    assert Caller("sync", running.url)("threads.retrieve", thread_id).title == title


def test_the_workflow_is_told_what_the_session_says(running: Hosted) -> None:
    session = running.session(
        "teller",
        chatkit_configuration={"automatic_thread_titling": {"enabled": False}},
        extra_body={
            "workflow": {
                "id": "wf_same",
                "version": "7",
                "state_variables": {"plan": "gold", "seats": 3},
                "tracing": {"enabled": False},
            }
        },
    )
    running.page(session.client_secret).say("a")
    context = running.servers["wf_same"].contexts[-1]
    assert (context.tenant, context.user, context.workflow) == ("acme", "teller", "wf_same")
    assert (context.session_id, context.version) == (session.id, "7")
    assert context.state_variables == {"plan": "gold", "seats": 3}
    assert (context.tracing, context.automatic_thread_titling) == (False, False)


def post_file(page: Page, data: bytes = b"a") -> httpx2.Response:
    return HTTP.post(
        f"{page.url}/chatkit/files",
        files={"file": ("a.txt", data, "text/plain")},
        headers={"Authorization": f"Bearer {page.secret}"},
    )


def announce(page: Page, size: int = 1) -> httpx2.Response:
    return page.post("attachments.create", name="a.txt", size=size, mime_type="text/plain")


def test_files_are_refused_unless_the_session_takes_them(running: Hosted) -> None:
    for page in (page_of(running), page_of(running, file_upload={"enabled": False})):
        for answer in (post_file(page), announce(page)):
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        assert not threads(page, capabilities=True)["capabilities"].get("uploads")
    page = page_of(running, file_upload={"enabled": True})
    assert threads(page, capabilities=True)["capabilities"]["uploads"] is True


@pytest.mark.parametrize("workflow", ["wf_a", "wf_same", "wf_b"])
def test_files_are_taken_in_both_ways(running: Hosted, workflow: str) -> None:
    session = running.session(workflow=workflow, chatkit_configuration={"file_upload": {"enabled": True}})
    page = running.page(session.client_secret)
    direct = post_file(page)
    assert direct.status_code == 200, direct.text
    announced = announce(page, 3).json()
    upload = announced["upload_descriptor"]
    put = HTTP.request(upload["method"], upload["url"], content=b"abc", headers=upload["headers"])
    assert put.status_code == 200, put.text
    thread_id = page.say("look", attachments=[direct.json()["id"], announced["id"]])
    items = Caller("sync", running.url)("threads.list_items", thread_id, order="asc")
    assert [entry.id for entry in items[0].attachments] == [direct.json()["id"], announced["id"]]


def test_files_are_as_large_and_as_many_as_the_session_says(running: Hosted) -> None:
    page = page_of(running, file_upload={"enabled": True, "max_file_size": 1, "max_files": 2})
    assert announce(page, 1024 * 1024 + 1).status_code == 413
    assert post_file(page, b"a" * (1024 * 1024 + 1)).status_code == 413
    assert post_file(page, b"a" * 1024 * 1024).status_code == 200
    assert announce(page, 1024 * 1024).status_code == 200
    for answer in (post_file(page), announce(page)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


def test_a_file_that_comes_to_nothing_is_not_counted(running: Hosted) -> None:
    page = page_of(running, file_upload={"enabled": True, "max_file_size": 1, "max_files": 1})
    for _ in range(2):
        assert announce(page, 1024 * 1024 + 1).status_code == 413
        assert post_file(page, b"a" * (1024 * 1024 + 1)).status_code == 413
        headers = {"Authorization": f"Bearer {page.secret}"}
        assert HTTP.post(f"{page.url}/chatkit/files", data={"a": "b"}, headers=headers).status_code >= 400
    assert post_file(page).status_code == 200
    assert post_file(page).status_code == 403


SERVERS = {"postgres", "redis"}


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres", "redis"])
def test_a_counter_takes_back(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = (
        request.getfixturevalue(f"{kind}_{'url' if kind == 'redis' else 'database'}")
        if kind in SERVERS
        else ""
    )

    async def scenario() -> list[bool]:
        if kind == "memory":
            counter: Counter = MemoryCounter()
        elif kind == "redis":
            counter = RedisCounter(url, prefix=f"{new_id('test')}:")
        else:
            store: Any = PostgresStore(url) if kind == "postgres" else SQLiteStore(tmp_path / "chat.db")
            counter = (PostgresCounter if kind == "postgres" else SQLiteCounter)(store.database)
        amounts = (1, 1, 1, -1, 1, 1)
        taken = [(await counter.take("a", amount, window=60, limit=2)).taken for amount in amounts]
        await counter.close()
        if kind in {"postgres", "sqlite"}:
            await store.close()
        return taken

    assert asyncio.run(scenario()) == [True, True, False, True, True, False]


def test_history_that_is_off_shows_no_threads(running: Hosted) -> None:
    page = page_of(running, "forgetful", history={"enabled": False})
    thread_id = page.say("a")
    assert threads(page) == {"data": [], "has_more": False}
    assert threads(page, capabilities=True)["capabilities"]["resume"] is True
    # The conversation itself goes on, after a reload and with a new secret too.
    later = page_of(running, "forgetful", history={"enabled": False})
    assert later.post("threads.get_by_id", thread_id=thread_id).status_code == 200
    later.say("b", thread_id)
    # They are kept, for the tenant's server and for sessions that may see them.
    assert [thread["id"] for thread in threads(page_of(running, "forgetful"))["data"]] == [thread_id]


def test_recent_threads_are_all_that_is_seen(running: Hosted) -> None:
    every = page_of(running, "busy")
    made = [every.say(str(number)) for number in range(5)]
    page = page_of(running, "busy", history={"recent_threads": 3})
    recent = made[:1:-1]
    assert [thread["id"] for thread in threads(page)["data"]] == recent
    assert [thread["id"] for thread in threads(page, order="asc")["data"]] == recent[::-1]
    first = threads(page, limit=2)
    assert ([thread["id"] for thread in first["data"]], first["has_more"]) == (recent[:2], True)
    rest = threads(page, limit=2, after=first["after"])
    assert ([thread["id"] for thread in rest["data"]], rest["has_more"]) == (recent[2:], False)
    assert page.post("threads.list", after=made[0]).status_code == 404
    message = {"content": [{"type": "input_text", "text": "a"}], "attachments": [], "inference_options": {}}
    for kind, params in (
        ("threads.get_by_id", {}),
        ("items.list", {}),
        ("threads.update", {"title": "a"}),
        ("threads.delete", {}),
        ("threads.add_user_message", {"input": message}),
    ):
        assert page.post(kind, thread_id=made[0], **params).status_code == 404, kind
    for thread_id in recent:
        assert page.post("threads.get_by_id", thread_id=thread_id).status_code == 200
    # A new thread pushes out the oldest one.
    page.say("new")
    assert page.post("threads.get_by_id", thread_id=recent[-1]).status_code == 404
    assert len(threads(every)["data"]) == 6


def test_a_turn_goes_on_in_a_thread_that_is_no_recent_one_any_more(running: Hosted) -> None:
    page = page_of(running, "sliding", history={"recent_threads": 1})
    thread_id = page.say("first")
    with running_turn(page, thread_id, "a key") as turn_id:
        waiting = page.say("everything")
        page.say("pushes both out")
        for old in (thread_id, waiting):
            assert page.post("threads.get_by_id", thread_id=old).status_code == 404
        body = {"type": "turns.resume", "params": {"thread_id": thread_id}}
        headers = {"Authorization": f"Bearer {page.secret}"}
        with HTTP.stream("POST", f"{page.url}/chatkit", json=body, headers=headers) as followed:
            assert followed.status_code == 200
        output = page.post("threads.add_client_tool_output", thread_id=waiting, result=1)
        assert output.status_code == 200, output.text
        # It stays its user's.
        other = page_of(running, "another", history={"recent_threads": 1})
        for kind, params in (
            ("turns.stop", {"turn_id": turn_id}),
            ("turns.resume", {}),
            ("threads.add_client_tool_output", {"result": 1}),
        ):
            assert other.post(kind, thread_id=thread_id, **params).status_code == 404, kind
