"""How the application is put together."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from chatkit._secrets import SECRET_VARIABLE
from chatkit.counters import MemoryCounter, SQLiteCounter
from chatkit.dialects.adapters import adapt_store
from chatkit.errors import ConfigurationError, NotFoundError, StoreUnavailableError
from chatkit.files import LocalFileStore
from chatkit.hosted import (
    HostedContext,
    HostedRoutes,
    MemorySessions,
    SQLiteSessions,
    create_hosted_app,
    hash_key,
    new_key,
)
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from chatkit.web import ui_is_built
from tests.dialects.reference.test_store import PlainStore
from tests.hosted.sample import ACME, HTTP, KEYS, OTHER, Caller, EchoServer, Page, hosted
from tests.hosted.test_calls import PNG
from tests.server.recorded.plain_store import PlainStore as ContextStore
from tests.support.live_server import live_server


def server(**options: Any) -> EchoServer:
    return EchoServer(MemoryStore(), **options)


def test_keys_are_new_each_time_and_known_by_their_hash() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("ck-") and len(key) == 46 for key in keys)
    key = keys.pop()
    with live_server(create_hosted_app({"wf_a": server()}, {hash_key(key): "acme"})) as running:
        assert Caller("sync", running.url, key)("threads.list") == []


SECRET_KEY = "sk-proj-0123456789abcdefghij"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "no key"),
        ({SECRET_KEY: "acme"}, "OpenAI's"),
        ({f" {SECRET_KEY.upper()}": "acme"}, "OpenAI's"),
        ({"a-long-key-of-another-prefix": "acme"}, "begins with 'ck-'"),
        ({"ck-short": "acme"}, "at least 20"),
        ({f"sha256:{'g' * 64}": "acme"}, "nor the hash"),
        ({ACME: ""}, "a tenant's name"),
        ({ACME: "a/b"}, "a tenant's name"),
        ({ACME: "a" * 101}, "a tenant's name"),
        ({ACME: ".."}, "a tenant's name"),
    ],
)
def test_keys_that_cannot_be_are_told_without_the_key(keys: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as raised:
        create_hosted_app({"wf_a": server()}, keys)
    assert not [key for key in keys if key.strip() in str(raised.value)]


def test_workflows_that_cannot_be_are_told() -> None:
    wrong: Any = {"wf_a": object()}
    for workflows, says in (
        ({}, "none"),
        ({"wf/a": server()}, "no id"),
        ({"": server()}, "no id"),
        ({".": server()}, "no id"),
        ({"..": server()}, "no id"),
        (wrong, "ChatKitServer"),
        ({"wf_a": EchoServer(MemoryStore(owner=lambda context: "local"))}, "owner of its own choice"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            create_hosted_app(workflows, KEYS)


class OwnedStore(ContextStore):
    """A store of an application, as it becomes one of hosted ChatKit: with an owner, and rows by owner."""

    def __init__(self) -> None:
        super().__init__()
        self.owners: dict[str, str] = {}

    def owner(self, context: Any) -> str:
        return context["user_id"]

    def check(self, thread_id: str, context: Any) -> None:
        if self.owners.setdefault(thread_id, context["user_id"]) != context.get("user_id"):
            raise NotFoundError

    async def load_thread(self, thread_id: str, context: Any) -> Any:
        self.check(thread_id, context)
        return await super().load_thread(thread_id, context)

    async def save_thread(self, thread: Any, context: Any) -> None:
        self.check(thread.id, context)
        await super().save_thread(thread, context)

    async def load_threads(self, limit: int, after: str | None, order: str, context: Any) -> Any:
        page = await super().load_threads(limit, after, order, context)
        page.data = [thread for thread in page.data if self.owners[thread.id] == context["user_id"]]
        return page


def test_a_store_without_an_owner_is_refused() -> None:
    for store in (ContextStore(), adapt_store(ContextStore())):
        with pytest.raises(ConfigurationError, match=r"no method owner.*def owner.*ten methods"):
            create_hosted_app({"wf_a": EchoServer(store)}, KEYS)


def test_a_store_that_reads_the_context_as_a_mapping_keeps_users_apart() -> None:
    with live_server(create_hosted_app({"wf_a": EchoServer(OwnedStore())}, KEYS)) as running:
        pages = [
            Page(
                running.url,
                Caller("sync", running.url, key)(
                    "sessions.create", user=user, workflow={"id": "wf_a"}
                ).client_secret,
            )
            for key, user in ((ACME, "ada"), (ACME, "bob"), (OTHER, "ada"))
        ]
        threads = [page.say("hello") for page in pages]
        for page, mine in zip(pages, threads, strict=True):
            assert [thread["id"] for thread in page.post("threads.list").json()["data"]] == [mine]
            for thread_id in threads:
                answer = page.post("threads.get_by_id", thread_id=thread_id)
                assert answer.status_code == (200 if thread_id == mine else 404)


def test_the_context_is_a_mapping() -> None:
    context = HostedContext(tenant="acme", user="ada", workflow="wf_a")
    assert context["user_id"] == context.get("user_id") == context.user_id == "acme/ada/wf_a"
    assert (context["user"], context.get("version"), context.get("nothing", 1)) == ("ada", None, 1)
    assert {name: getattr(context, name) for name in context} == dict(context)
    assert "of" not in context
    with pytest.raises(KeyError):
        context["owner"]


class RerunServer(EchoServer):
    def dump_context(self, context: Any) -> Any:
        return {"user": context.user}


def test_servers_of_one_database_do_not_run_one_anothers_turns_again(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    for stores in ((store := MemoryStore(), store), (SQLiteStore(path), SQLiteStore(path))):
        workflows = {"wf_a": EchoServer(stores[0]), "wf_b": RerunServer(stores[1])}
        with pytest.raises(ConfigurationError, match="database of its own"):
            create_hosted_app(workflows, KEYS)
    rerun = RerunServer(SQLiteStore(":memory:"))
    create_hosted_app({"wf_a": EchoServer(SQLiteStore(":memory:")), "wf_b": rerun, "wf_c": rerun}, KEYS)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("a.db", "./a.db", True),
        ("a.db", "link/a.db", True),
        ("a.db", "b.db", False),
        ("postgresql://u:p@Host/db", "postgresql://v@host:5432/db?application_name=a", True),
        ("postgresql://h/db", "postgresql://u@/db?host=h&port=5432", True),
        ("postgresql:///db?host=/run/a", "postgresql:///db?host=/run/b", False),
        ("postgresql://h/db", "postgresql://h/DB", False),
        ("postgresql://h/db", "postgresql://h:5433/db", False),
        ("postgresql://h/db", "postgresql://h:54321/db", False),
    ],
)
def test_the_place_of_a_database_is_compared_and_not_its_spelling(
    first: str, second: str, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    stores: list[Any] = [
        (PostgresStore if place.startswith("postgresql") else SQLiteStore)(place) for place in (first, second)
    ]
    workflows = {"wf_a": EchoServer(stores[0]), "wf_b": RerunServer(stores[1])}
    counting: Any = {"sessions": MemorySessions(), "counter": MemoryCounter()}
    if same:
        with pytest.raises(ConfigurationError, match="database of its own"):
            create_hosted_app(workflows, KEYS, **counting)
    else:
        create_hosted_app(workflows, KEYS, **counting)


def test_sessions_and_counts_are_in_the_database_of_the_store(tmp_path: Path) -> None:
    beside = HostedRoutes({"wf_a": EchoServer(SQLiteStore(tmp_path / "chat.db"))}, KEYS)
    assert isinstance(beside._sessions, SQLiteSessions)
    assert isinstance(beside._counter, SQLiteCounter)
    without = HostedRoutes({"wf_a": server()}, KEYS)
    assert isinstance(without._sessions, MemorySessions)
    assert isinstance(without._counter, MemoryCounter)


async def test_several_workers_share_what_they_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def app(**options: Any) -> HostedRoutes:
        return HostedRoutes(
            {"wf_a": EchoServer(SQLiteStore(tmp_path / "chat.db"))}, KEYS, workers=2, **options
        )

    monkeypatch.setenv(SECRET_VARIABLE, "a secret")
    for options, says in (
        ({"sessions": MemorySessions()}, "sessions="),
        ({"counter": MemoryCounter()}, "counter="),
    ):
        # Before the lifespan, which not every application enters.
        with pytest.raises(ConfigurationError, match=says):
            app(**options)
    made = app()
    async with made.lifespan(None):
        pass
    monkeypatch.delenv(SECRET_VARIABLE)
    with pytest.raises(ConfigurationError, match=SECRET_VARIABLE):
        app()
    with pytest.raises(ConfigurationError, match=SECRET_VARIABLE):
        async with made.lifespan(None):
            pass


def test_workers_count_together_and_share_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "a secret")
    with (
        hosted(SQLiteStore(tmp_path / "chat.db")) as first,
        hosted(SQLiteStore(tmp_path / "chat.db")) as second,
    ):
        session = first.session(rate_limits={"max_requests_per_1_minute": 3})
        pages = [first.page(session.client_secret), second.page(session.client_secret)] * 2
        statuses = [page.post("nonsense").status_code for page in pages]
        assert statuses == [400, 400, 400, 429]
        with second.openai() as client:
            client.beta.chatkit.sessions.cancel(session.id)
        assert pages[0].post("threads.list").status_code == 401


def test_the_application_has_probes_the_element_and_its_own_routes(tmp_path: Path) -> None:
    entered: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        entered.append("in")
        yield
        entered.append("out")

    async def hello(request: Request) -> Response:
        return PlainTextResponse("hello")

    app = create_hosted_app(
        {"wf_a": EchoServer(SQLiteStore(tmp_path / "chat.db"))},
        KEYS,
        cors_origins="https://app.example.com",
        routes=[Route("/hello", hello)],
        lifespan=lifespan,
    )
    with live_server(app) as running:
        for path in ("/health", "/readyz", "/hello"):
            assert HTTP.get(f"{running.url}{path}").status_code == 200
        assert HTTP.get(f"{running.url}/chatkit.js").status_code == (200 if ui_is_built() else 404)
        described = HTTP.get(f"{running.url}/chatkit", headers={"Accept": "text/html"})
        assert described.status_code == 200
        asked = HTTP.options(
            f"{running.url}/chatkit",
            headers={
                "Origin": "https://app.example.com",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, content-type",
            },
        )
        assert asked.headers["access-control-allow-origin"] == "https://app.example.com"
        refused = HTTP.post(f"{running.url}/chatkit", headers={"Origin": "https://app.example.com"})
        assert refused.status_code == 401
        # The page has to read it.
        assert refused.headers["access-control-allow-origin"] == "https://app.example.com"
    assert entered == ["in", "out"]


class AwaySessions(MemorySessions):
    away = False

    async def find(self, session_id: str) -> Any:
        if self.away:
            raise StoreUnavailableError
        return await super().find(session_id)


def test_it_is_ready_when_sessions_can_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from chatkit.hosted import app as hosted_app

    monkeypatch.setattr(hosted_app, "_CHECK_HOLDS_SECONDS", 0.0)
    sessions = AwaySessions()
    with live_server(create_hosted_app({"wf_a": server()}, KEYS, sessions=sessions)) as running:
        assert HTTP.get(f"{running.url}/readyz").status_code == 200
        sessions.away = True
        assert HTTP.get(f"{running.url}/readyz").status_code == 503


def test_routes_in_an_application_of_ones_own(tmp_path: Path) -> None:
    hosted_routes = HostedRoutes({"wf_a": EchoServer(SQLiteStore(tmp_path / "chat.db"))}, KEYS)
    from fastapi import FastAPI

    app = FastAPI(lifespan=hosted_routes.lifespan)
    app.router.routes.extend(hosted_routes.routes)

    @app.get("/hello")
    def hello() -> str:
        return "hello"

    with live_server(app) as running:
        session = Caller("sync", running.url)("sessions.create", user="ada", workflow={"id": "wf_a"})
        assert Page(running.url, session.client_secret).say("hello")
        assert HTTP.get(f"{running.url}/hello").json() == "hello"


def test_below_another_application(tmp_path: Path) -> None:
    """Which does not tell it of its start."""
    server = EchoServer(SQLiteStore(tmp_path / "chat.db"), LocalFileStore(tmp_path / "files"))
    app = Starlette(routes=[Mount("/base", create_hosted_app({"wf_a": server}, KEYS))])
    with live_server(app) as running:
        url = f"{running.url}/base"
        call = Caller("sync", url)
        session = call(
            "sessions.create",
            user="ada",
            workflow={"id": "wf_a"},
            chatkit_configuration={"file_upload": {"enabled": True}},
        )
        page = Page(url, session.client_secret)
        direct = HTTP.post(
            f"{url}/chatkit/files",
            files={"file": ("a.png", PNG, "image/png")},
            headers={"Authorization": f"Bearer {page.secret}"},
        )
        assert HTTP.get(direct.json()["preview_url"]).status_code == 200
        announced = page.post("attachments.create", name="a.txt", size=1, mime_type="text/plain").json()
        upload = announced["upload_descriptor"]
        put = HTTP.request(upload["method"], upload["url"], content=b"a", headers=upload["headers"])
        assert put.status_code == 200
        thread_id = page.say("hello", attachments=[direct.json()["id"], announced["id"]])
        (_, said) = call("threads.list_items", thread_id)
        assert HTTP.get(said.attachments[0].preview_url).status_code == 200


def test_a_store_that_cannot_list_all_threads_says_so_and_chats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "a secret")
    with live_server(create_hosted_app({"wf_a": EchoServer(PlainStore())}, KEYS)) as running:
        call = Caller("sync", running.url)
        pages = [
            Page(running.url, call("sessions.create", user=user, workflow={"id": "wf_a"}).client_secret)
            for user in ("ada", "bob")
        ]
        thread_id = pages[0].say("hello")
        assert [thread["id"] for thread in pages[0].post("threads.list").json()["data"]] == [thread_id]
        assert pages[1].post("threads.list").json()["data"] == []
        assert pages[1].post("threads.get_by_id", thread_id=thread_id).status_code == 404
        for name, arguments in (("threads.list", ()), ("threads.retrieve", (thread_id,))):
            with pytest.raises(openai.InternalServerError) as raised:
                call(name, *arguments)
            assert raised.value.status_code == 501
            assert raised.value.code == "not_implemented"
            assert raised.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", ["/v1", "/v1/chatkit"])
def test_pages_get_no_path_of_the_api(path: str) -> None:
    with pytest.raises(ConfigurationError, match="below /v1"):
        create_hosted_app({"wf_a": EchoServer(MemoryStore())}, KEYS, path=path)
