"""Errors as the real client raises them, and as a page reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from chatkit.counters import MemoryCounter
from chatkit.errors import StoreUnavailableError
from chatkit.hosted import MemorySessions
from chatkit.store import MemoryStore, SQLiteStore
from tests.hosted.sample import ACME, HTTP, Caller, Hosted, hosted

OPENAI_KEY = "sk-proj-0123456789abcdefghijklmnop"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosted(
        SQLiteStore(tmp_path_factory.mktemp("hosted") / "chat.db"), requests_per_minute=None
    ) as found:
        yield found


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def error_of(raised: pytest.ExceptionInfo[openai.APIStatusError]) -> dict[str, Any]:
    """The error as the client shows it; each has all four fields."""
    body: Any = raised.value.response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert (raised.value.code, raised.value.type, raised.value.param) == (
        body["error"]["code"],
        body["error"]["type"],
        body["error"]["param"],
    )
    return body["error"]


CALLS: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("sessions.create", (), {"user": "a", "workflow": {"id": "wf_a"}}),
    ("sessions.cancel", ("cksess_a",), {}),
    ("threads.list", (), {}),
    ("threads.retrieve", ("thr_a",), {}),
    ("threads.delete", ("thr_a",), {}),
    ("threads.list_items", ("thr_a",), {}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), CALLS)
def test_a_key_that_is_not_known_is_refused_by_every_call(
    kind: str, running: Hosted, name: str, arguments: tuple[str, ...], options: dict[str, Any]
) -> None:
    for key, code in (
        ("ck-unknown-0123456789abcdef", "invalid_api_key"),
        (OPENAI_KEY, "openai_key_refused"),
        (f"Sk{OPENAI_KEY[2:]}", "openai_key_refused"),
    ):
        with pytest.raises(openai.AuthenticationError) as raised:
            Caller(kind, running.url, key)(name, *arguments, **options)
        error = error_of(raised)
        assert (error["code"], error["type"]) == (code, "authentication_error")
        assert key not in raised.value.response.text


def test_the_hash_of_a_key_is_no_key(kind: str, running: Hosted) -> None:
    from chatkit.hosted import hash_key

    with pytest.raises(openai.AuthenticationError):
        Caller(kind, running.url, hash_key(ACME))("threads.list")


def test_a_client_secret_opens_no_call_of_servers(kind: str, running: Hosted) -> None:
    secret = running.session().client_secret
    with pytest.raises(openai.PermissionDeniedError) as raised:
        Caller(kind, running.url, secret)("threads.list")
    assert error_of(raised)["type"] == "permission_error"


@pytest.mark.parametrize(("name", "arguments", "options"), CALLS[1:2] + CALLS[3:])
def test_what_is_not_there_is_not_found(
    kind: str, running: Hosted, name: str, arguments: tuple[str, ...], options: dict[str, Any]
) -> None:
    for given in (arguments[0], "a\0b", "x" * 5_000, "ü/%2F?&#"):
        with pytest.raises(openai.NotFoundError) as raised:
            Caller(kind, running.url)(name, given, **options)
        assert error_of(raised)["type"] == "invalid_request_error"


def test_a_workflow_that_is_not_there_is_not_found(kind: str, running: Hosted) -> None:
    with pytest.raises(openai.NotFoundError, match="wf_unknown") as raised:
        Caller(kind, running.url)("sessions.create", user="a", workflow={"id": "wf_unknown"})
    error = error_of(raised)
    assert (error["code"], error["param"]) == ("workflow_not_found", "workflow.id")


BAD_SESSIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"user": ""}, "user", "invalid_value"),
    ({"user": "a" * 256}, "user", "invalid_value"),
    ({"user": "a\0"}, "user", "invalid_value"),
    ({"user": 1}, "user", "invalid_value"),
    ({"workflow": {}}, "workflow.id", "invalid_value"),
    ({"workflow": {"id": "wf_a", "more": 1}}, "workflow.more", "unknown_parameter"),
    ({"workflow": {"id": "wf_a", "state_variables": {"a": [1]}}}, "workflow.state_variables.a", "invalid_value"),
    ({"workflow": {"id": "wf_a", "state_variables": {"a" * 65: 1}}}, "workflow.state_variables", "invalid_value"),
    ({"expires_after": {"anchor": "created_at", "seconds": 0}}, "expires_after.seconds", "invalid_value"),
    ({"expires_after": {"anchor": "created_at", "seconds": 86_401}}, "expires_after.seconds", "invalid_value"),
    ({"expires_after": {"anchor": "updated_at", "seconds": 1}}, "expires_after.anchor", "invalid_value"),
    ({"rate_limits": {"max_requests_per_1_minute": 0}}, "rate_limits.max_requests_per_1_minute", "invalid_value"),
    ({"rate_limits": {"max_requests_per_1_minute": True}}, "rate_limits.max_requests_per_1_minute", "invalid_value"),
    ({"chatkit_configuration": {"more": {}}}, "chatkit_configuration.more", "unknown_parameter"),
    ({"chatkit_configuration": {"file_upload": {"max_file_size": 513}}}, "chatkit_configuration.file", "invalid_value"),
    ({"chatkit_configuration": {"history": {"recent_threads": 0}}}, "chatkit_configuration.history", "invalid_value"),
    ({"chatkit_configuration": {"history": {"recent_threads": 101}}}, "chatkit_configuration.history", "invalid_value"),
    ({"more": 1}, "more", "unknown_parameter"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "param", "code"), BAD_SESSIONS)
def test_a_session_that_cannot_be_is_a_bad_request(
    running: Hosted, given: dict[str, Any], param: str, code: str
) -> None:
    options = {"user": "a", "workflow": {"id": "wf_a"}, **given}
    more = {"extra_body": {"more": options.pop("more")}} if "more" in options else {}
    with pytest.raises(openai.BadRequestError) as raised:
        Caller("sync", running.url)("sessions.create", **options, **more)
    error = error_of(raised)
    assert error["param"].startswith(param)
    assert error["code"] == code


def test_names_that_are_not_known_are_not_repeated_whole(running: Hosted) -> None:
    url = f"{running.url}/v1/chatkit/sessions"
    headers = {"Authorization": f"Bearer {ACME}", "OpenAI-Beta": "chatkit_beta=v1"}
    body: dict[str, Any] = {"user": "a", "workflow": {"id": "wf_a"}}
    for more in (
        {OPENAI_KEY: 1},
        {OPENAI_KEY.upper(): 1},
        {"workflow": {"id": "wf_a", OPENAI_KEY: 1}},
        {"workflow": {"id": "wf_a", "state_variables": {OPENAI_KEY: []}}},
        {"k" * 100_000: 1},
    ):
        answer = HTTP.post(url, json=body | more, headers=headers)
        assert answer.status_code == 400
        assert OPENAI_KEY.lower() not in answer.text.lower()
        assert len(answer.text) < 400
        assert len(answer.json()["error"]["param"]) <= 67


@pytest.mark.parametrize("name", ["threads.list", "threads.list_items"])
@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": -1}, "limit"),
        ({"order": "up"}, "order"),
        ({"after": ""}, "after"),
        ({"before": "a\0"}, "before"),
    ],
)
def test_a_page_that_cannot_be_is_a_bad_request(
    running: Hosted, name: str, given: dict[str, Any], param: str
) -> None:
    page = running.page(running.session("pager").client_secret)
    arguments = (page.say("a"),) if name.endswith("items") else ()
    with pytest.raises(openai.BadRequestError) as raised:
        Caller("sync", running.url)(name, *arguments, **given)
    assert error_of(raised)["param"] == param


@pytest.mark.parametrize("side", ["after", "before"])
def test_a_cursor_that_is_not_there_is_not_found(running: Hosted, side: str) -> None:
    page = running.page(running.session("pager").client_secret)
    thread_id = page.say("a")
    for name, arguments in (("threads.list", ()), ("threads.list_items", (thread_id,))):
        with pytest.raises(openai.NotFoundError):
            Caller("sync", running.url)(name, *arguments, **{side: "nothing"})
        known = thread_id if name == "threads.list" else Caller("sync", running.url)(name, thread_id)[0].id
        other = {"after": "before", "before": "after"}[side]
        with pytest.raises(openai.NotFoundError):
            Caller("sync", running.url)(name, *arguments, **{side: "nothing", other: known})


def test_bodies_that_are_none() -> None:
    with hosted(MemoryStore()) as running:
        url = f"{running.url}/v1/chatkit/sessions"
        headers = {"Authorization": f"Bearer {ACME}", "OpenAI-Beta": "chatkit_beta=v1"}
        for content, status in ((b"", 400), (b"{", 400), (b"[]", 400), (b"\xff", 400), (b"1" * 600_000, 413)):
            answer = HTTP.post(url, content=content, headers=headers)
            assert answer.status_code == status, answer.text
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_the_beta_header_is_asked_for(running: Hosted) -> None:
    headers = {"Authorization": f"Bearer {ACME}"}
    url = f"{running.url}/v1/chatkit/threads"
    answer = HTTP.get(url, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_beta")
    good = HTTP.get(url, headers={**headers, "OpenAI-Beta": "assistants=v2, chatkit_beta=v1"})
    assert good.status_code == 200


def test_too_many_calls_of_a_tenant_are_refused_until_the_window_ends(kind: str) -> None:
    with hosted(MemoryStore(), requests_per_minute=3) as running:
        call = Caller(kind, running.url)
        for _ in range(3):
            call("threads.list")
        with pytest.raises(openai.RateLimitError) as raised:
            call("threads.list")
        assert error_of(raised)["type"] == "rate_limit_error"
        assert 1 <= int(raised.value.response.headers["retry-after"]) <= 60
        # Another tenant has calls of its own.
        Caller(kind, running.url, "ck-other-0123456789abcdef")("threads.list")


def test_the_client_waits_for_as_long_as_it_is_told() -> None:
    """Its own retry reads the header: it is sent again once the window is over."""
    moments = [0.0]
    counter = MemoryCounter(lambda: moments[0])
    with hosted(MemoryStore(), requests_per_minute=1, counter=counter) as running:
        waited: list[float] = []

        class Waiting(OpenAI):
            def _sleep_for_retry(self, **options: Any) -> None:
                delay = self._calculate_retry_timeout(
                    options["max_retries"] - options["retries_taken"],
                    options["options"],
                    options["response"].headers,
                )
                waited.append(delay)
                moments[0] += delay

        client = Waiting(base_url=f"{running.url}/v1", api_key=ACME, max_retries=1)
        assert client.beta.chatkit.threads.list().data == []
        assert client.beta.chatkit.threads.list().data == []
        assert waited == [60.0]
        client.close()


async def test_other_paths_say_what_this_server_is(running: Hosted) -> None:
    async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key=ACME, max_retries=0) as client:
        for attempt in (
            client.models.list(),
            client.responses.create(model="a", input="a"),
            client.files.list(),
            client.post("/chatkit/threads", cast_to=object),
            client.get("/chatkit/sessions", cast_to=object),
            client.delete("/chatkit/threads", cast_to=object),
        ):
            with pytest.raises(openai.NotFoundError, match="ChatKit's part of the API") as raised:
                await attempt
            assert error_of(raised)["code"] == "unknown_url"
    async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key=OPENAI_KEY, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError, match="key of OpenAI"):
            await client.models.list()


class AwaySessions(MemorySessions):
    async def find(self, session_id: str) -> Any:
        raise StoreUnavailableError("The table at secret-host is away.")


def test_a_database_that_is_away_is_told_and_hides_its_place() -> None:
    with hosted(MemoryStore(), sessions=AwaySessions()) as running:
        with pytest.raises(openai.InternalServerError) as raised:
            Caller("sync", running.url)("sessions.cancel", "cksess_a")
        assert raised.value.status_code == 503
        assert error_of(raised)["type"] == "server_error"
        assert "secret-host" not in raised.value.response.text
        answer = running.page(running.session().client_secret).post("threads.list")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
