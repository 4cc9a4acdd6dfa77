"""Every call of ``openai.beta.chatkit``, with both real clients, against a real server."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.resources.beta.chatkit import ChatKit
from openai.types.beta.chatkit import ChatKitThread, ChatSession, ThreadDeleteResponse
from openai.types.beta.chatkit.chatkit_thread_item_list import ChatKitThreadItemList
from pydantic import BaseModel, TypeAdapter

from chatkit.files import LocalFileStore
from chatkit.store import SQLiteStore
from tests.hosted.sample import ACME, HTTP, Caller, Hosted, hosted

CALLS = {
    "sessions.create",
    "sessions.cancel",
    "threads.retrieve",
    "threads.list",
    "threads.delete",
    "threads.list_items",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    folder = tmp_path_factory.mktemp("hosted")
    files = LocalFileStore(folder / "files")
    with hosted(SQLiteStore(folder / "chat.db"), files=files, requests_per_minute=None) as found:
        yield found


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, running: Hosted) -> Caller:
    return Caller(request.param, running.url)


def test_these_are_the_calls_that_there_are() -> None:
    found = {
        f"{part}.{name}"
        for part in ("sessions", "threads")
        for name, member in inspect.getmembers(getattr(ChatKit, part).func(_Nothing()))
        if not name.startswith(("_", "with_")) and inspect.ismethod(member)
    }
    assert found == CALLS


class _Nothing:
    _client: Any = type(
        "Client", (), dict.fromkeys(("get", "post", "patch", "put", "delete", "get_api_list"))
    )()


def strict(model: Any, data: Any) -> None:
    """Fails unless the data is what a type of the client describes, with every field and no other."""
    parsed = TypeAdapter(model).validate_python(data, strict=True)
    _same_fields(parsed, data, model.__name__)


def _same_fields(parsed: Any, data: Any, place: str) -> None:
    if isinstance(parsed, BaseModel):
        assert set(data) == set(type(parsed).model_fields), place
        assert not parsed.model_extra, place
        for name in type(parsed).model_fields:
            _same_fields(getattr(parsed, name), data[name], f"{place}.{name}")
    elif isinstance(parsed, list):
        for index, (entry, given) in enumerate(zip(parsed, data, strict=True)):
            _same_fields(entry, given, f"{place}[{index}]")


def test_the_check_of_types_sees_what_is_missing_or_wrong() -> None:
    good: dict[str, Any] = {"id": "a", "deleted": True, "object": "chatkit.thread.deleted"}
    strict(ThreadDeleteResponse, good)
    for bad in ({**good, "more": 1}, {**good, "deleted": "true"}, {**good, "object": "thread"}, {"id": "a"}):
        with pytest.raises((AssertionError, ValueError)):
            strict(ThreadDeleteResponse, bad)


def raw(call: Caller, name: str, *arguments: Any, **options: Any) -> Any:
    part, _, method = name.rpartition(".")
    return json.loads(call(f"{part}.with_raw_response.{method}", *arguments, **options).content)


def test_a_session_is_opened_with_what_is_usual(call: Caller) -> None:
    before = int(time.time())
    session = call("sessions.create", user="ada", workflow={"id": "wf_a"})
    assert isinstance(session, ChatSession)
    assert session.id.startswith("cksess_")
    assert session.client_secret.startswith("ckcs-")
    assert before + 600 <= session.expires_at <= int(time.time()) + 600
    assert (session.status, session.user, session.max_requests_per_1_minute) == ("active", "ada", 10)
    configured = session.chatkit_configuration
    assert configured.automatic_thread_titling.enabled is True
    assert configured.file_upload.to_dict() == {"enabled": False, "max_file_size": 512, "max_files": 10}
    assert configured.history.enabled is True
    assert configured.history.recent_threads is None
    assert session.workflow.tracing.enabled is True
    assert (session.workflow.version, session.workflow.state_variables) == (None, None)


def test_what_is_null_is_not_given(call: Caller) -> None:
    usual = call("sessions.create", user="ada", workflow={"id": "wf_a"})
    nulls = call(
        "sessions.create",
        user="ada",
        workflow={"id": "wf_a", "version": None, "state_variables": None, "tracing": None},
        chatkit_configuration={"history": None, "file_upload": {"enabled": None, "max_files": None}},
        expires_after=None,
        rate_limits=None,
    )
    for name in ("workflow", "chatkit_configuration", "rate_limits"):
        assert getattr(nulls, name) == getattr(usual, name)


def test_a_session_is_opened_as_it_is_asked_for(call: Caller) -> None:
    session = call(
        "sessions.create",
        user="Zoë",
        workflow={
            "id": "wf_b",
            "version": "3",
            "state_variables": {"a": 1, "b": 1.5, "c": True, "d": "x"},
            "tracing": {"enabled": False},
        },
        chatkit_configuration={
            "automatic_thread_titling": {"enabled": False},
            "file_upload": {"enabled": True, "max_file_size": 3, "max_files": 2},
            "history": {"enabled": False, "recent_threads": 5},
        },
        expires_after={"anchor": "created_at", "seconds": 30},
        rate_limits={"max_requests_per_1_minute": 3},
    )
    assert session.user == "Zoë"
    assert session.workflow.to_dict() == {
        "id": "wf_b",
        "version": "3",
        "state_variables": {"a": 1, "b": 1.5, "c": True, "d": "x"},
        "tracing": {"enabled": False},
    }
    assert session.chatkit_configuration.to_dict() == {
        "automatic_thread_titling": {"enabled": False},
        "file_upload": {"enabled": True, "max_file_size": 3, "max_files": 2},
        "history": {"enabled": False, "recent_threads": 5},
    }
    assert session.expires_at <= int(time.time()) + 30
    assert session.rate_limits.max_requests_per_1_minute == session.max_requests_per_1_minute == 3


def test_a_session_is_cancelled(call: Caller, running: Hosted) -> None:
    session = running.session()
    page = running.page(session.client_secret)
    assert page.post("threads.list").status_code == 200
    for _ in range(2):
        cancelled = call("sessions.cancel", session.id)
        assert isinstance(cancelled, ChatSession)
        assert cancelled == session.model_copy(update={"status": "cancelled"})
    refused = page.post("threads.list")
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "cancelled_client_secret"


def test_threads_are_listed_retrieved_and_deleted(call: Caller, running: Hosted) -> None:
    user = f"lister {time.time_ns()}"
    page = running.page(running.session(user).client_secret)
    before = int(time.time())
    first, second = page.say("one"), page.say("two")
    found = call("threads.list", user=user)
    assert [thread.id for thread in found] == [second, first]
    assert all(isinstance(thread, ChatKitThread) for thread in found)
    assert before <= found[0].created_at <= time.time()
    thread = call("threads.retrieve", first)
    assert isinstance(thread, ChatKitThread)
    assert (thread.id, thread.user, thread.title, thread.status.type) == (first, user, "About one", "active")
    items = call("threads.list_items", first)
    assert [item.type for item in items] == ["chatkit.assistant_message", "chatkit.user_message"]
    assert items[0].content[0].text == "You said one"
    assert items[1].content[0].text == "one"
    deleted = call("threads.delete", first)
    assert isinstance(deleted, ThreadDeleteResponse)
    assert (deleted.id, deleted.deleted) == (first, True)
    assert [thread.id for thread in call("threads.list", user=user)] == [second]
    for name in ("retrieve", "delete", "list_items"):
        with pytest.raises(openai.NotFoundError):
            call(f"threads.{name}", first)
    # The page finds it gone, too.
    assert page.post("threads.get_by_id", thread_id=first).status_code == 404


def test_every_answer_has_the_types_of_the_client(call: Caller, running: Hosted) -> None:
    asked: dict[str, Any] = {"user": "typed", "workflow": {"id": "wf_a"}}
    uploads = {"file_upload": {"enabled": True}}
    for options in ({}, {"chatkit_configuration": uploads}):
        strict(ChatSession, raw(call, "sessions.create", **asked, **options))
    strict(
        ChatSession,
        raw(
            call,
            "sessions.create",
            user="a",
            workflow={"id": "wf_a", "state_variables": {"a": "b"}, "version": "1"},
        ),
    )
    session = running.session("typed", chatkit_configuration=uploads)
    strict(ChatSession, raw(call, "sessions.cancel", session.id))
    page = running.page(running.session("typed", chatkit_configuration=uploads).client_secret)
    thread_id = page.say(
        "everything",
        quoted_text="quoted",
        inference_options={"model": "a", "tool_choice": {"id": "b"}},
        content=[
            {"type": "input_text", "text": "everything"},
            {"type": "input_tag", "id": "t", "text": "", "data": {}},
        ],
        attachments=[_attach(page, "a.txt", "text/plain", b"a"), _attach(page, "a.png", "image/png", PNG)],
    )
    listed = raw(call, "threads.list", user="typed")
    strict_page(listed, ChatKitThread)
    strict(ChatKitThread, raw(call, "threads.retrieve", thread_id))
    items = raw(call, "threads.list_items", thread_id, order="asc")
    strict(ChatKitThreadItemList, items)
    kinds = [item["type"].removeprefix("chatkit.") for item in items["data"]]
    assert kinds == [
        "user_message", "assistant_message", "widget", "task", "task", "task_group", "client_tool_call",
    ]  # fmt: skip
    check_contents(items["data"])
    strict(ThreadDeleteResponse, raw(call, "threads.delete", thread_id))


PNG = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xff\xff?\0"
    b"\5\xfe\2\xfe\xa75\x81\x84\0\0\0\0IEND\xaeB`\x82"
)


def _attach(page: Any, name: str, kind: str, data: bytes) -> str:
    answer = HTTP.post(
        f"{page.url}/chatkit/files",
        files={"file": (name, data, kind)},
        headers={"Authorization": f"Bearer {page.secret}"},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def strict_page(data: Any, model: Any) -> None:
    assert set(data) == {"object", "data", "first_id", "last_id", "has_more"}
    assert data["object"] == "list"
    assert type(data["has_more"]) is bool
    for entry in data["data"]:
        strict(model, entry)


def check_contents(items: list[Any]) -> None:
    said, cited, widget, step, thought, group, tool = items
    assert said["content"] == [
        {"type": "quoted_text", "text": "quoted"},
        {"type": "input_text", "text": "everything"},
        {"type": "input_text", "text": ""},
    ]
    assert said["inference_options"] == {"model": "a", "tool_choice": {"id": "b"}}
    assert [(entry["type"], entry["name"]) for entry in said["attachments"]] == [
        ("file", "a.txt"), ("image", "a.png"),
    ]  # fmt: skip
    assert HTTP.get(said["attachments"][1]["preview_url"]).status_code == 200
    assert cited["content"][0]["annotations"] == [
        {"type": "file", "source": {"type": "file", "filename": "a.pdf"}},
        {"type": "url", "source": {"type": "url", "url": "https://example.com/a"}},
    ]
    assert json.loads(widget["widget"])["children"][0]["value"] == "ü"
    assert (step["task_type"], step["heading"], step["summary"]) == ("custom", "A step", "What it does")
    assert (thought["task_type"], thought["heading"], thought["summary"]) == ("thought", None, "Hm")
    assert [task["type"] for task in group["tasks"]] == ["custom", "thought", "custom"]
    assert (tool["status"], tool["output"]) == ("in_progress", None)
    assert json.loads(tool["arguments"]) == {"a": [1, None]}


def test_a_tools_output_is_json(call: Caller, running: Hosted) -> None:
    page = running.page(running.session("tools").client_secret)
    thread_id = page.say("everything")
    done = page.post("threads.add_client_tool_output", thread_id=thread_id, result={"found": [1]})
    assert done.status_code == 200
    items = call("threads.list_items", thread_id)
    (tool,) = (item for item in items if item.type == "chatkit.client_tool_call")
    assert (tool.status, json.loads(tool.output)) == ("completed", {"found": [1]})


def test_pages_of_items(call: Caller, running: Hosted) -> None:
    page = running.page(running.session("pager").client_secret)
    thread_id = page.say("1")
    for number in range(2, 8):
        page.say(str(number), thread_id)
    every = [item.id for item in call("threads.list_items", thread_id, order="asc", limit=100)]
    assert len(every) == 14
    assert [item.id for item in call("threads.list_items", thread_id)] == every[::-1]
    # The client goes on from page to page by itself.
    for limit in (1, 3, 14, 15):
        assert [item.id for item in call("threads.list_items", thread_id, limit=limit)] == every[::-1]
        ascending = call("threads.list_items", thread_id, limit=limit, order="asc")
        assert [item.id for item in ascending] == every
    one: Any = lambda **options: call("threads.list_items", thread_id, pages=False, limit=4, **options)  # noqa: E731
    check_cursors(one, every)


def check_cursors(one: Any, every: list[str]) -> None:
    """Asks for pages of four of a list, oldest first, before and after its sixth entry."""
    ids: Any = lambda page: [entry.id for entry in page.data]  # noqa: E731
    after = one(order="asc", after=every[5])
    assert (ids(after), after.has_more) == (every[6:10], True)
    before = one(order="asc", before=every[5])
    assert (ids(before), before.has_more) == (every[1:5], True)
    down = one(order="desc", after=every[5])
    assert (ids(down), down.has_more) == (every[1:5][::-1], True)
    up = one(order="desc", before=every[5])
    assert (ids(up), up.has_more) == (every[6:10][::-1], True)
    between = one(order="asc", after=every[2], before=every[5])
    assert (ids(between), between.has_more) == (every[3:5], False)
    first = one(order="asc", before=every[2])
    assert (ids(first), first.has_more) == (every[:2], False)
    none = one(order="asc", after=every[-1])
    assert (ids(none), none.has_more, none.last_id) == ([], False, None)


def test_pages_of_threads(call: Caller, running: Hosted) -> None:
    user = f"many {time.time_ns()}"
    pages = [running.page(running.session(user, workflow).client_secret) for workflow in ("wf_a", "wf_b")]
    every = [pages[number % 2].say(str(number)) for number in range(14)]
    assert [thread.id for thread in call("threads.list", user=user, order="asc", limit=100)] == every
    for limit in (1, 3, 14, 15):
        assert [thread.id for thread in call("threads.list", user=user, limit=limit)] == every[::-1]
    one: Any = lambda **options: call("threads.list", user=user, pages=False, limit=4, **options)  # noqa: E731
    check_cursors(one, every)
    # Without a user, those of all of them are among the tenant's.
    listed = [thread.id for thread in call("threads.list", order="asc", limit=7)]
    assert [thread_id for thread_id in listed if thread_id in every] == every
    assert len(listed) == len(set(listed))


def test_the_two_lines_of_the_guide(running: Hosted) -> None:
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=ACME)
    session = client.beta.chatkit.sessions.create(user="ada", workflow={"id": "wf_a"})
    assert running.page(session.client_secret).say("hello")
    client.close()


def test_files_of_the_page_are_its_owners(tmp_path: Path, running: Hosted) -> None:
    page = running.page(
        running.session("filer", chatkit_configuration={"file_upload": {"enabled": True}}).client_secret
    )
    attachment = _attach(page, "a.txt", "text/plain", b"a")
    other = running.page(running.session("another").client_secret)
    refused = other.post(
        "threads.create",
        input={
            "content": [{"type": "input_text", "text": "a"}],
            "attachments": [attachment],
            "inference_options": {},
        },
    )
    assert refused.status_code == 404
