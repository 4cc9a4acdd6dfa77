"""What one user has opens nothing to another user, workflow or tenant: every request type, over each store and log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

import openai
import pytest

from chatkit.files import LocalFileStore
from chatkit.hosted.context import HostedContext, owner_of, owners_below, parts_of
from chatkit.ids import made_at, new_id
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore, Store
from chatkit.streams import RedisStreamLog
from chatkit.types import ChatKitReq
from tests.hosted.sample import ACME, HTTP, OTHER, Caller, Hosted, Page, hosted

MESSAGE = {"content": [{"type": "input_text", "text": "b"}], "attachments": [], "inference_options": {}}
UPLOADS = {"file_upload": {"enabled": True}}
# Each differs from the victim's session, of acme's ada in wf_a, in one thing.
INTRUDERS = {
    "user": ("bob", "wf_a", ACME),
    "workflow": ("ada", "wf_b", ACME),
    "workflow of the same server": ("ada", "wf_same", ACME),
    "tenant": ("ada", "wf_a", OTHER),
}


@pytest.fixture(params=["memory", "sqlite", "postgres", "sqlite and redis"])
def running(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Hosted]:
    store: Store[Any]
    if request.param == "memory":
        store = MemoryStore()
    elif request.param == "postgres":
        store = PostgresStore(request.getfixturevalue("postgres_database"))
    else:
        store = SQLiteStore(tmp_path / "chat.db")
    log: dict[str, Any] = {}
    if request.param == "sqlite and redis":
        url = request.getfixturevalue("redis_url")
        log = {"stream_log": RedisStreamLog(url, prefix=f"{new_id('test')}:")}
    with hosted(store, files=LocalFileStore(tmp_path / "files"), server=log) as found:
        yield found


def upload(page: Page) -> str:
    answer = HTTP.post(
        f"{page.url}/chatkit/files",
        files={"file": ("a.txt", b"a", "text/plain")},
        headers={"Authorization": f"Bearer {page.secret}"},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


@contextmanager
def running_turn(page: Page, thread_id: str, key: str) -> Iterator[str]:
    """Has a turn that does not end, without a reader, and ends it; its id."""
    body = {
        "type": "threads.add_user_message",
        "params": {
            "thread_id": thread_id,
            "input": {**MESSAGE, "content": [{"type": "input_text", "text": "hold"}]},
        },
        "metadata": {"resumable": True, "idempotency_key": key},
    }
    headers = {"Authorization": f"Bearer {page.secret}"}
    with HTTP.stream("POST", f"{page.url}/chatkit", json=body, headers=headers, timeout=60) as response:
        assert response.status_code == 200
        next(response.iter_lines())
    active = page.post("threads.get_by_id", thread_id=thread_id).json()["active_turn"]
    yield active["id"]
    assert page.post("turns.stop", thread_id=thread_id, turn_id=active["id"]).json()["stopped"] == [
        active["id"]
    ]


def requests_about(
    thread_id: str, item_id: str, attachment_id: str, turn_id: str
) -> dict[str, dict[str, Any]]:
    """A request of each type that names something of a user's, naming the victim's."""
    thread = {"thread_id": thread_id}
    return {
        "threads.get_by_id": thread,
        "threads.list": {"after": thread_id},
        "threads.create": {"input": {**MESSAGE, "attachments": [attachment_id]}},
        "threads.add_user_message": {**thread, "input": MESSAGE},
        "threads.add_client_tool_output": {**thread, "result": 1},
        "threads.add_structured_input": {**thread, "item_id": item_id, "input": {}},
        "threads.custom_action": {**thread, "item_id": item_id, "action": {"type": "a", "payload": {}}},
        "threads.sync_custom_action": {**thread, "item_id": item_id, "action": {"type": "a", "payload": {}}},
        "threads.retry_after_item": {**thread, "item_id": item_id},
        "threads.update": {**thread, "title": "stolen"},
        "threads.delete": thread,
        "items.list": thread,
        "items.feedback": {**thread, "item_ids": [item_id], "kind": "positive"},
        "attachments.delete": {"attachment_id": attachment_id},
        "turns.stop": {**thread, "turn_id": turn_id},
        "turns.resume": {**thread, "after": f"{turn_id}:1"},
    }


NAMES_NOTHING = {"attachments.create", "input.transcribe", "threads.search"}


def test_every_request_type_is_asked() -> None:
    kinds = {model.model_fields["type"].default for model in get_args(get_args(ChatKitReq)[0])}
    assert kinds == requests_about("", "", "", "").keys() | NAMES_NOTHING


def test_nobody_else_gets_at_a_users_threads(running: Hosted) -> None:
    victim = running.page(running.session(chatkit_configuration=UPLOADS).client_secret)
    attachment = upload(victim)
    thread_id = victim.say("everything", attachments=[attachment])
    loose = upload(victim)
    items = victim.post("items.list", thread_id=thread_id).json()["data"]
    item_id = next(item["id"] for item in items if item["type"] == "user_message")
    with running_turn(victim, thread_id, "the victim's key") as turn_id:
        before = state_of(victim, thread_id)
        for difference, (user, workflow, key) in INTRUDERS.items():
            session = running.session(user, workflow, key, chatkit_configuration=UPLOADS)
            intruder = running.page(session.client_secret)
            for attached in (attachment, loose):
                for kind, params in requests_about(thread_id, item_id, attached, turn_id).items():
                    answer = intruder.post(kind, **params)
                    assert answer.status_code == 404, (difference, kind, answer.text)
                    assert thread_id not in answer.text
            assert intruder.post("threads.list").json()["data"] == []
            # The key of the victim's request leads to a thread of the intruder's own.
            mine = intruder.post(
                "threads.create",
                input=MESSAGE,
                metadata={"resumable": True, "idempotency_key": "the victim's key"},
            )
            assert mine.status_code == 200
            assert thread_id not in mine.text
            assert "You said b" in mine.text
        assert state_of(victim, thread_id) == before
    # What was not sent yet is the victim's still.
    assert victim.say("and this", thread_id, attachments=[loose]) == thread_id


def state_of(page: Page, thread_id: str) -> Any:
    thread = page.post("threads.get_by_id", thread_id=thread_id).json()
    items = page.post("items.list", thread_id=thread_id, limit=100).json()
    text = json.dumps([thread, items])
    # Links are signed anew each time.
    return [line for line in text.split('"') if "signature=" not in line]


def test_no_other_tenant_gets_at_a_tenants_threads(running: Hosted) -> None:
    session = running.session()
    page = running.page(session.client_secret)
    thread_id = page.say("hello")
    # A cursor that nobody has stands for ten milliseconds around the time in it.
    while (made_at(new_id("thread")) or 0) < (made_at(thread_id) or 0) + 20_000:
        pass
    own = running.page(running.session(key=OTHER).client_secret).say("of the other")
    for kind in ("sync", "async"):
        other = Caller(kind, running.url, OTHER)
        for name, arguments in (
            ("threads.retrieve", (thread_id,)),
            ("threads.delete", (thread_id,)),
            ("threads.list_items", (thread_id,)),
            ("sessions.cancel", (session.id,)),
        ):
            with pytest.raises(openai.NotFoundError):
                other(name, *arguments)
        for cursor, order, found in (
            ("after", "asc", [own]),
            ("after", "desc", []),
            ("before", "asc", []),
            ("before", "desc", [own]),
        ):
            # The time that is in an id is all that it says, whether there is such a thread or not.
            for named in (thread_id, f"{thread_id[:-8]}00000000"):
                assert [
                    thread.id for thread in other("threads.list", order=order, **{cursor: named})
                ] == found
        for user in ({}, {"user": "ada"}):
            assert [thread.id for thread in other("threads.list", **user)] == [own]
        assert other("threads.list", user="ad") == []
        mine = Caller(kind, running.url)("threads.list")
        assert [thread.id for thread in mine] == [thread_id]
    assert page.post("threads.get_by_id", thread_id=thread_id).status_code == 200


def test_a_tenants_server_sees_all_its_users_and_workflows(running: Hosted) -> None:
    made = {
        (user, workflow): running.page(running.session(user, workflow).client_secret).say("a")
        for user in ("ada", "bob/ada", "a%2Fb", "Zoë")
        for workflow in ("wf_a", "wf_same", "wf_b")
    }
    call = Caller("sync", running.url)
    assert [thread.id for thread in call("threads.list", order="asc", limit=5)] == list(made.values())
    for user in ("ada", "bob/ada", "a%2Fb", "Zoë"):
        found = call("threads.list", user=user, order="asc")
        assert [thread.id for thread in found] == [made[user, name] for name in ("wf_a", "wf_same", "wf_b")]
        assert {thread.user for thread in found} == {user}
    for user in ("bob", "a", "a/b", "ada/wf_a"):
        assert call("threads.list", user=user) == []
    for thread_id in made.values():
        assert len(call("threads.list_items", thread_id)) == 2
        call("threads.delete", thread_id)
    assert call("threads.list") == []


def test_no_two_users_are_one_owner() -> None:
    parts = ["a", "a/b", "a%2Fb", "b", "%", "/", "a%", "2F", "ü"]
    owners = {
        owner_of(tenant, user, workflow): (tenant, user, workflow)
        for tenant in parts
        for user in parts
        for workflow in parts
    }
    assert len(owners) == len(parts) ** 3
    for owner, named in owners.items():
        assert parts_of(owner) == named
        for tenant in parts:
            assert owner.startswith(owners_below(tenant)) == (tenant == named[0])
            for user in parts:
                below = owner.startswith(owners_below(tenant, user))
                assert below == ((tenant, user) == named[:2])
    context = HostedContext(tenant="a", user="b", workflow="c")
    assert MemoryStore().owner(context) == context.user_id == "a/b/c"
    assert parts_of("local") is None
