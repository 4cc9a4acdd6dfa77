"""Arguments that cannot be right are refused where they are given, in words that say what to give instead."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from chatkit.client import ChatKitClient
from chatkit.errors import ConfigurationError
from chatkit.files import FileLimits, LocalFileStore, S3FileStore
from chatkit.limits import Limits
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from chatkit.streams import MemoryStreamLog, PostgresStreamLog, RedisStreamLog
from chatkit.types import ThreadItemDoneEvent
from chatkit.web import (
    JWTContext,
    Page,
    Prompt,
    Uploads,
    api_keys,
    bearer,
    create_app,
    server_lifespan,
    single_user,
)
from chatkit.web.fastapi import chatkit_router

SECRET = "hunter2"
REDIS = "redis://localhost:6379/0"


class ShopServer(ChatKitServer[Any]):
    async def respond(self, thread: Any, input_user_message: Any, context: Any) -> Any:
        return
        yield ThreadItemDoneEvent


def shop() -> ShopServer:
    return ShopServer(MemoryStore())


def jwt(**changes: Any) -> Any:
    return JWTContext(**{"issuer": "https://sign-in.example.com", "audience": "chat", **changes})


app = functools.partial(create_app, context=single_user())

WRONG: list[tuple[Any, str]] = [
    (lambda: ShopServer(MemoryStore(), concurrency="queue"), "'enqueue'"),
    (lambda: ShopServer(MemoryStore(), concurrency="Reject"), "Did you mean 'reject'?"),
    (lambda: ShopServer(MemoryStore(), concurrency=True), "concurrency"),
    (lambda: ShopServer(MemoryStore(), on_disconnect="keep"), "'continue'"),
    (lambda: ShopServer(MemoryStore(), file_limits={"max_bytes": 1}), "a FileLimits"),
    (lambda: ShopServer(MemoryStore(), limits={}), "a Limits"),
    (lambda: ShopServer(MemoryStore(), limits=Limits), "Give an instance: Limits(...)"),
    (lambda: ShopServer(MemoryStore(), stream_log=MemoryStreamLog), "Give an instance: MemoryStreamLog(...)"),
    (lambda: ShopServer(MemoryStore(), stream_log=REDIS), "a StreamLog"),
    (lambda: ShopServer(MemoryStore(), rerun_on_crash=-1), "from 0"),
    (lambda: ShopServer(MemoryStore(), rerun_on_crash="2"), "a whole number"),
    (lambda: ShopServer(MemoryStore(), persist_item_updates="no"), "True or False"),
    (lambda: ShopServer(SQLiteStore), "the class SQLiteStore"),
    (lambda: ShopServer("chat.db"), "SQLiteStore()"),
    (lambda: ShopServer(MemoryStore(), LocalFileStore), "the class LocalFileStore"),
    (lambda: ShopServer(MemoryStore(), file_store="files"), "LocalFileStore()"),
    (lambda: app(ShopServer), "Give an instance: ShopServer(...)"),
    (lambda: app(MemoryStore()), "a ChatKitServer"),
    (lambda: app(None), "a ChatKitServer, not None"),
    (lambda: create_app(shop(), context={"user_id": "ada"}), "a function"),
    (lambda: create_app(shop(), context=None), "a function"),
    (lambda: create_app(shop(), context=single_user), "call it: context=single_user(...)"),
    (lambda: create_app(shop(), context=JWTContext), "call it"),
    (lambda: app(shop(), keep_alive="15"), "a number"),
    (lambda: app(shop(), drain_seconds=None), "a number"),
    (lambda: app(shop(), workers="3"), "a whole number"),
    (lambda: app(shop(), ui="yes"), "True or False or a ChatPage"),
    (lambda: app(shop(), ui=Page), "Give an instance: ChatPage(...)"),
    (lambda: app(shop(), ui=Page(attachments=True)), "file_store=LocalFileStore()"),
    (lambda: app(shop(), uploads="/files"), "an Uploads"),
    (lambda: app(shop(), path=7), "a text"),
    (lambda: app(shop(), middleware="cors"), "a list"),
    (lambda: chatkit_router(ShopServer, context=single_user()), "Give an instance: ShopServer(...)"),
    (lambda: chatkit_router(shop(), context="signed_in"), "a function"),
    (lambda: chatkit_router(shop(), context=bearer), "call it"),
    (lambda: server_lifespan(ShopServer), "Give an instance"),
    (lambda: api_keys({}), "none"),
    (lambda: api_keys({"": "ada"}), "empty"),
    (lambda: api_keys({SECRET: ""}), "one key has the owner ''"),
    (lambda: api_keys([SECRET]), "a mapping"),
    (lambda: api_keys({SECRET: "ada"}, header="X API Key"), "the name of a header"),
    (lambda: api_keys({SECRET: "ada"}, header="Cookie"), "browsers fill"),
    (lambda: bearer(None), "a function"),
    (lambda: single_user(""), "not empty"),
    (lambda: single_user(None), "not empty"),
    (lambda: jwt(issuer=""), "claim iss"),
    (lambda: jwt(audience=[]), "whom tokens are for"),
    (lambda: jwt(audience=[None]), "whom tokens are for"),
    (lambda: jwt(audience=7), "whom tokens are for"),
    (lambda: jwt(leeway=-1), "from 0"),
    (lambda: jwt(timeout=0), "above 0"),
    (lambda: jwt(context="claims"), "a function"),
    (lambda: jwt(algorithms="RS256"), "some of"),
    (lambda: jwt(algorithms=["HS256"]), "some of"),
    (lambda: Page(attachments="yes"), "True or False"),
    (lambda: Page(prompts="Hello"), "a list"),
    (lambda: Page(images=[7]), "a list"),
    (lambda: Prompt("Hello", None), "a text"),
    (lambda: Uploads(direct="no"), "True or False"),
    (lambda: Uploads(path=7), "a text"),
    (lambda: FileLimits(max_bytes="1 MB"), "a whole number"),
    (lambda: FileLimits(mime_types="image/*"), "a list"),
    (lambda: FileLimits(mime_types=[None]), "a list"),
    (lambda: Limits(text_chars="1"), "a whole number"),
    (lambda: MemoryStore(owner="ada"), "a function"),
    (lambda: SQLiteStore(7), "a text or a path"),
    (lambda: SQLiteStore(owner="ada"), "a function"),
    (lambda: SQLiteStore(f"postgresql://u:{SECRET}@h/d"), "PostgresStore"),
    (lambda: SQLiteStore(f"redis://:{SECRET}@h/0"), "the path of a file"),
    (lambda: PostgresStore(None), "a text"),
    (lambda: PostgresStore("postgresql://localhost/chat", max_connections="9"), "a whole number"),
    (lambda: LocalFileStore(7), "a text or a path"),
    (lambda: LocalFileStore(f"s3://key:{SECRET}@bucket"), "S3FileStore"),
    (lambda: LocalFileStore(upload_expires_in="3600"), "a number"),
    (lambda: S3FileStore(None), "a text"),
    (lambda: S3FileStore("bucket", upload_expires_in="1"), "a whole number"),
    (lambda: MemoryStreamLog(window="1"), "a whole number"),
    (lambda: RedisStreamLog(None), "a text"),
    (lambda: RedisStreamLog(REDIS, lease="10"), "a number"),
    (lambda: PostgresStreamLog(7), "a text or a Database"),
    (lambda: PostgresStreamLog("postgresql://localhost/chat", lease=None), "a number"),
    (lambda: ChatKitClient(7), "a text"),
]


@pytest.mark.parametrize(("make", "told"), WRONG, ids=[told for _, told in WRONG])
def test_what_cannot_be_right_is_refused_at_once(make: Any, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert told in str(refused.value)
    assert SECRET not in str(refused.value)


class Bare(ShopServer):
    def __init__(self, store: Any) -> None:
        self.store = store


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("concurrency", "queue"),
        ("on_disconnect", "keep"),
        ("file_limits", {}),
        ("limits", {}),
        ("stream_log", "redis://localhost"),
        ("rerun_on_crash", "1"),
    ],
)
async def test_attributes_are_checked_as_arguments_are(option: str, value: Any) -> None:
    kind = type("Configured", (ShopServer,), {option: value})
    with pytest.raises(ConfigurationError, match=rf"Configured\({option}=\.\.\.\)"):
        kind(MemoryStore())
    # Where the constructor is not called, on first use.
    request = b'{"type":"threads.list","params":{}}'
    for server in (type("Configured", (Bare,), {option: value})(MemoryStore()), Bare(MemoryStore())):
        setattr(server, option, value)
        with pytest.raises(ConfigurationError, match=rf"\({option}=\.\.\.\)"):
            await server.process(request, {"user_id": "ada"})


def test_what_a_class_says_holds_where_the_constructor_is_given_nothing() -> None:
    class Strict(ShopServer):
        concurrency = "reject"
        on_disconnect = "continue"
        persist_item_updates = True
        rerun_on_crash = 2
        limits = Limits(text_chars=10)

    server = Strict(MemoryStore())
    assert (server.concurrency, server.on_disconnect) == ("reject", "continue")
    assert (server.persist_item_updates, server.rerun_on_crash) == (True, 2)
    assert server.limits == Limits(text_chars=10)
    assert Strict(MemoryStore(), concurrency="allow").concurrency == "allow"
    assert ShopServer(MemoryStore()).concurrency == "allow"


def test_limits_per_owner_are_on_where_there_is_more_than_one(tmp_path: Path) -> None:
    server = shop()
    create_app(server, context=single_user())
    assert server.limits is None
    create_app(server, context=api_keys({"key-of-ada": "ada"}))
    assert server.limits == Limits().for_service()
    own = ShopServer(MemoryStore(), limits=Limits(text_chars=10, running_turns_per_owner=3))
    create_app(own, context=api_keys({"key-of-ada": "ada"}))
    assert own.limits == Limits(text_chars=10, running_turns_per_owner=3).for_service()
    assert own.limits.running_turns_per_owner == 3


def test_what_is_right_is_taken(tmp_path: Path) -> None:
    files = LocalFileStore(tmp_path, secret=b"a secret")
    server = ShopServer(SQLiteStore(tmp_path / "chat.db", lambda context: "ada"), files)
    page = Page(attachments=True, prompts=(Prompt("Hello", "hello"),), connect=["https://a.example"])
    create_app(server, context=lambda request: {"user_id": "ada"}, ui=page, drain_seconds=1, workers=1)
    S3FileStore("bucket", orphan_age=1)
    MemoryStreamLog(retention=1)
