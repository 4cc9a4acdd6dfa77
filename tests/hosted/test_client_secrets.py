"""Client secrets that are not good, and what a good one may do."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from chatkit._secrets import OLD_SECRETS_VARIABLE, SECRET_VARIABLE
from chatkit.hosted.client_secrets import client_secret
from chatkit.store import MemoryStore, SQLiteStore
from tests.hosted.sample import ACME, HTTP, Hosted, Page, hosted


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "the secret of this test")


@pytest.fixture
def running(tmp_path: Any) -> Iterator[Hosted]:
    with hosted(SQLiteStore(tmp_path / "chat.db")) as found:
        yield found


def refused(page: Page, code: str) -> None:
    """Fails unless the page's secret is refused by each request that takes one, in the form that pages read."""
    headers = {"Authorization": f"Bearer {page.secret}"}
    message = {"content": [{"type": "input_text", "text": "a"}], "attachments": [], "inference_options": {}}
    answers = [
        page.post("threads.list"),
        page.post("threads.create", input=message),
        HTTP.post(
            f"{page.url}/chatkit", content=b"no JSON", headers={**headers, "Content-Type": "application/json"}
        ),
        HTTP.post(f"{page.url}/chatkit/files", files={"file": ("a", b"a", "text/plain")}, headers=headers),
    ]
    for answer in answers:
        assert answer.status_code == 401, answer.text
        error = answer.json()["error"]
        assert (error["code"], error["type"]) == (code, "authentication_error")
        assert error["message"]
        assert "www-authenticate" in answer.headers
        assert page.secret not in answer.text


def test_a_secret_expires(running: Hosted) -> None:
    page = running.page(running.session().client_secret)
    page.say("hello")
    running.clock.ahead = 500
    assert page.post("threads.list").status_code == 200
    running.clock.ahead = 601
    refused(page, "expired_client_secret")
    # With a new one the page goes on where it was.
    again = running.page(running.session().client_secret)
    assert len(again.post("threads.list").json()["data"]) == 1


def test_a_session_that_has_expired_says_so(running: Hosted) -> None:
    session = running.session(expires_after={"anchor": "created_at", "seconds": 5})
    running.clock.ahead = 10
    with running.openai() as client:
        ended = client.beta.chatkit.sessions.cancel(session.id)
    assert ended == session.model_copy(update={"status": "expired"})
    refused(running.page(session.client_secret), "expired_client_secret")


def test_a_cancelled_secret_is_refused_for_good(running: Hosted) -> None:
    session = running.session()
    other = running.page(running.session().client_secret)
    with running.openai() as client:
        client.beta.chatkit.sessions.cancel(session.id)
    refused(running.page(session.client_secret), "cancelled_client_secret")
    assert other.post("threads.list").status_code == 200


@pytest.mark.parametrize(
    "bad",
    [
        "no-secret",
        "ckcs-",
        "ckcs-a.1.b",
        f"ckcs-cksess_0.9999999999.{'A' * 43}",
        "ckcs-cksess_0.99999999999999999999." + "A" * 43,
        "x" * 20_000,
        "ü",
    ],
)
def test_what_is_no_secret_is_refused(running: Hosted, bad: str) -> None:
    answer = HTTP.post(
        f"{running.url}/chatkit",
        json={"type": "threads.list", "params": {}},
        headers={"Authorization": f"Bearer {bad}".encode()},
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] in {"invalid_client_secret", "missing_client_secret"}


@pytest.mark.parametrize("header", [None, "Basic YTpi", "Bearer", ACME])
def test_a_request_without_a_secret_is_refused(running: Hosted, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    body = {"type": "threads.list", "params": {}}
    answer = HTTP.post(f"{running.url}/chatkit", json=body, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "missing_client_secret"


def test_a_key_opens_no_chat(running: Hosted) -> None:
    refused(running.page(ACME), "invalid_client_secret")
    refused(running.page("sk-proj-0123456789abcdef"), "openai_key_refused")


def test_an_altered_secret_is_refused(running: Hosted) -> None:
    first, second = running.session("ada").client_secret, running.session("bob").client_secret
    for at in range(len("ckcs-"), len(first)):
        for other in "0A":
            altered = f"{first[:at]}{other}{first[at + 1 :]}"
            # The last digit of the signature has bits that say nothing.
            if altered != first and at != len(first) - 1:
                answer = running.page(altered).post("threads.list")
                assert answer.json()["error"]["code"] == "invalid_client_secret", altered
    mixed = ".".join((second.split(".")[0], *first.split(".")[1:]))
    refused(running.page(mixed), "invalid_client_secret")


def test_a_secret_with_a_later_end_is_refused(running: Hosted) -> None:
    session_id, ends, signature = running.session().client_secret.split(".")
    refused(running.page(f"{session_id}.{int(ends) + 600}.{signature}"), "invalid_client_secret")


def test_a_well_signed_secret_of_no_session_is_refused(running: Hosted) -> None:
    refused(running.page(client_secret("cksess_unknown", 9_999_999_999)), "invalid_client_secret")


def test_a_secret_of_another_application_is_refused(running: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    session = running.session()
    # Of one with the same secret and another database.
    with hosted(MemoryStore()) as elsewhere:
        refused(elsewhere.page(session.client_secret), "invalid_client_secret")
    monkeypatch.setenv(SECRET_VARIABLE, "another secret")
    refused(running.page(session.client_secret), "invalid_client_secret")


def test_a_secret_outlives_the_exchange_of_the_applications_secret(
    running: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = running.page(running.session().client_secret)
    monkeypatch.setenv(SECRET_VARIABLE, "a newer secret")
    monkeypatch.setenv(OLD_SECRETS_VARIABLE, "the secret of this test")
    assert page.post("threads.list").status_code == 200


def test_a_secret_of_a_workflow_that_is_gone_is_refused(tmp_path: Any) -> None:
    with hosted(SQLiteStore(tmp_path / "chat.db")) as before:
        session = before.session(workflow="wf_b")
    from starlette.applications import Starlette

    from chatkit.hosted import create_hosted_app
    from tests.hosted.sample import KEYS, EchoServer
    from tests.support.live_server import live_server

    app: Starlette = create_hosted_app({"wf_a": EchoServer(SQLiteStore(tmp_path / "chat.db"))}, KEYS)
    with live_server(app) as server:
        refused(Page(server.url, session.client_secret), "invalid_client_secret")


def test_a_session_may_send_as_many_requests_a_minute_as_it_says(running: Hosted) -> None:
    session = running.session(rate_limits={"max_requests_per_1_minute": 2})
    page = running.page(session.client_secret)
    thread_id = page.say("1")
    page.say("2", thread_id)
    message = {"content": [{"type": "input_text", "text": "3"}], "attachments": [], "inference_options": {}}
    over = page.post("threads.add_user_message", thread_id=thread_id, input=message)
    assert (over.status_code, over.json()["error"]["code"]) == (429, "rate_limited")
    assert 1 <= int(over.headers["retry-after"]) <= 60
    # What makes no work is counted apart, ten times as many.
    reads = [page.post("threads.get_by_id", thread_id=thread_id).status_code for _ in range(21)]
    assert reads == [200] * 20 + [429]
    # What is no request counts as one that does something.
    assert page.post("nonsense").status_code == 429
    # Another session of the same user has a count of its own.
    assert running.page(running.session().client_secret).say("4")


def test_ten_requests_a_minute_are_usual(running: Hosted) -> None:
    with running.openai() as client:
        session = client.beta.chatkit.sessions.create(user="ada", workflow={"id": "wf_a"})
    page = running.page(session.client_secret)
    statuses = [page.post("nonsense").status_code for _ in range(12)]
    assert statuses == [400] * 10 + [429] * 2


def test_no_secret_is_in_the_log(running: Hosted, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        session = running.session()
        page = running.page(session.client_secret)
        page.say("hello")
        running.page(f"{session.client_secret}x").post("threads.list")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("chatkit")]
    assert ours
    assert not [message for message in ours if session.client_secret in message or ACME in message]


def change_session(tmp_path: Any, change: Any) -> None:
    """Changes the one session in the database."""
    with sqlite3.connect(tmp_path / "chat.db") as connection:
        ((data,),) = connection.execute("SELECT data FROM hosted_sessions").fetchall()
        connection.execute("UPDATE hosted_sessions SET data = ?", (change(data),))
    connection.close()


def test_a_session_of_a_later_version_is_read(running: Hosted, tmp_path: Any) -> None:
    page = running.page(running.session().client_secret)

    def change(data: str) -> str:
        session = json.loads(data)
        parts = (
            session,
            session["workflow"],
            session["workflow"]["tracing"],
            session["configuration"],
            session["configuration"]["file_upload"],
        )
        for part in parts:
            part["new"] = {"a": 1}
        return json.dumps(session)

    change_session(tmp_path, change)
    assert page.post("threads.list").status_code == 200


@pytest.mark.parametrize("data", ["{", "[]", "{}", '{"id": 1}'])
def test_a_session_that_cannot_be_read_opens_nothing(
    data: str, running: Hosted, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    session = running.session()
    change_session(tmp_path, lambda _: data)
    refused(running.page(session.client_secret), "invalid_client_secret")
    with pytest.raises(openai.NotFoundError), running.openai() as client:
        client.beta.chatkit.sessions.cancel(session.id)
    assert "A session cannot be read" in caplog.text


def test_the_database_keeps_no_secret(running: Hosted, tmp_path: Any) -> None:
    session = running.session()
    running.page(session.client_secret).say("hello")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert session.id.encode() in kept
    assert session.client_secret.rpartition(".")[2].encode() not in kept
    assert ACME.encode() not in kept
    assert json.dumps(session.client_secret).encode() not in kept
