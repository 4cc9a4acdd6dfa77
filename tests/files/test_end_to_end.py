"""Files through the application, for two owners, over each kind of file store and of store."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatkit.errors import NotFoundError
from chatkit.files import FileLimits, LocalFileStore
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from tests.files.page import HTML, PNG, Page, error_of, make_app, pages
from tests.files.test_contract import ReferenceStore, bucket_of
from tests.stateful.plain_store import PlainStore
from tests.support.s3 import s3_server
from tests.web.sample import SampleServer


class Setting:
    """One application, its file store, and the clock of that.

    Attributes:
        kind: Of the file store.
        clock: Seconds that the file store's clock is ahead.
    """

    def __init__(self, kind: str, store: Any, folder: Path) -> None:
        self.kind = kind
        self.clock = 0.0
        self.store = store
        self.files = self._files(folder)

    def _files(self, folder: Path) -> Any:
        def now() -> float:
            return time.time() + self.clock

        if self.kind == "local":
            return LocalFileStore(folder / "files", clock=now)
        if self.kind == "s3":
            # A sweep by a clock that is ahead would take the files of tests that run beside this one.
            return bucket_of(s3_server(), prefix=f"{secrets.token_hex(8)}/", clock=now)
        return ReferenceStore(s3_server())


def make_store(kind: str, folder: Path) -> Any:
    return {"memory": MemoryStore, "sqlite": lambda: SQLiteStore(folder / "c.db"), "adapted": PlainStore}[
        kind
    ]()


@pytest.fixture(params=["local", "s3"])
def files_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["memory", "sqlite", "adapted"])
def store_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def setting(files_kind: str, store_kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setenv("CHATKIT_SECRET", "a secret of the tests")
    return Setting(files_kind, make_store(store_kind, tmp_path), tmp_path)


@pytest.fixture
def both(setting: Setting) -> Iterator[tuple[Page, Page]]:
    server = SampleServer(
        setting.store,
        file_store=setting.files,
        file_limits=FileLimits(max_bytes=100_000, max_count=3, mime_types=["image/*", "text/*"]),
    )
    with pages(make_app(server)) as found:
        yield found


def status(answer: httpx2.Response) -> int:
    """The status, after a look that a refusal of ours has the form of all errors."""
    if answer.status_code >= 400 and "json" in answer.headers["content-type"]:
        error_of(answer)
    return answer.status_code


def test_two_phase_upload_message_preview_and_deletion(
    both: tuple[Page, Page], setting: Setting, files_kind: str
) -> None:
    alice, _ = both
    made = alice.announce(PNG)
    assert made["type"] == "image"
    assert made["upload_descriptor"]["method"] == "PUT"
    only_once = {"If-None-Match": "*"} if files_kind == "s3" else {}
    assert made["upload_descriptor"]["headers"] == {"Content-Type": "image/png", **only_once}
    assert alice.put(made, PNG).status_code == 200
    thread_id, item = alice.new_thread(made["id"])
    (attachment,) = item["attachments"]
    assert "upload_descriptor" not in attachment
    for url in (made["preview_url"], attachment["preview_url"]):
        shown = httpx2.get(url)
        assert (shown.status_code, shown.content) == (200, PNG)
        assert shown.headers["content-type"] == "image/png"
    # Later the link of the stored message is over, and the thread is read with a new one.
    setting.clock = 200_000
    stored = alice.stored_message(thread_id)["attachments"][0]
    assert stored["preview_url"] != attachment["preview_url"]
    assert "upload_descriptor" not in stored
    if files_kind == "local":
        assert httpx2.get(attachment["preview_url"]).status_code == 410
        assert httpx2.get(stored["preview_url"]).content == PNG
    setting.clock = 0
    stored = alice.stored_message(thread_id)["attachments"][0]
    assert alice.ask("threads.delete", thread_id=thread_id).status_code == 200
    assert status(httpx2.get(stored["preview_url"])) == 404
    assert alice.threads() == []


def test_wrong_type_and_size_are_refused(both: tuple[Page, Page], files_kind: str) -> None:
    alice, _ = both
    made = alice.announce(PNG)
    refused = {
        "type": alice.put(made, PNG, Content_Type="text/html"),
        "longer": alice.put(made, PNG + b"x"),
        "shorter": alice.put(made, PNG[:-1]),
    }
    ours = {"type": 415, "longer": 413, "shorter": 422}
    for reason, answer in refused.items():
        assert status(answer) == (ours[reason] if files_kind == "local" else 403), reason
    assert status(alice.send(made["id"])) == 409
    assert alice.threads() == []
    assert status(httpx2.get(made["preview_url"])) == 404


def test_bytes_of_another_type_are_refused(both: tuple[Page, Page], files_kind: str) -> None:
    alice, _ = both
    made = alice.announce(HTML, "image/png")
    answer = alice.put(made, HTML)
    if files_kind == "local":
        assert error_of(answer) == (415, "unsupported_media_type")
    else:
        # They went past us; the message is where we see them.
        assert answer.status_code == 200
        assert error_of(alice.send(made["id"])) == (415, "unsupported_media_type")
    assert error_of(alice.send(made["id"])) == (409, "upload_incomplete")
    assert status(httpx2.get(made["preview_url"])) == 404


def test_what_is_announced_has_limits(both: tuple[Page, Page]) -> None:
    alice, _ = both
    for params, expected in (
        ({"name": "a", "size": 100_001, "mime_type": "image/png"}, (413, "request_too_large")),
        ({"name": "a", "size": -1, "mime_type": "image/png"}, (422, "invalid_request")),
        ({"name": "a", "size": 1, "mime_type": "application/pdf"}, (415, "unsupported_media_type")),
        ({"name": "a", "size": 1, "mime_type": ""}, (415, "unsupported_media_type")),
        ({"name": "a", "size": 1, "mime_type": "text/plain\r\nX: y"}, (422, "invalid_request")),
    ):
        assert error_of(alice.ask("attachments.create", **params)) == expected
    ids = [alice.upload(b"text", "text/plain")["id"] for _ in range(4)]
    assert error_of(alice.send(*ids)) == (422, "invalid_request")
    assert alice.threads() == []
    alice.new_thread(*ids[:3])


def test_forged_and_expired_links_are_refused(
    both: tuple[Page, Page], setting: Setting, files_kind: str
) -> None:
    alice, _ = both
    made = alice.announce(PNG)
    url = made["upload_descriptor"]["url"]
    headers = made["upload_descriptor"]["headers"]
    digit = "0" if url[-1] != "0" else "1"
    for forged in (
        url[:-1] + digit,
        url.replace(made["id"], made["id"][:-1] + ("y" if made["id"].endswith("x") else "x")),
        url.partition("?")[0],
        made["preview_url"],
    ):
        assert status(httpx2.put(forged, content=PNG, headers=headers)) in {403, 405}
    for forged in (made["preview_url"][:-1] + "g", made["preview_url"].partition("?")[0], url):
        assert status(httpx2.get(forged)) == 403
    setting.clock = -90_000
    old = alice.announce(PNG)
    setting.clock = 0
    expired = 410 if files_kind == "local" else 403
    assert status(alice.put(old, PNG)) == expired
    assert status(alice.put(made, PNG)) == 200
    if files_kind == "local":
        assert error_of(alice.put(made, PNG)) == (409, "already_uploaded")


def test_another_owner_gets_nothing(both: tuple[Page, Page]) -> None:
    alice, bob = both
    sent, unsent = alice.upload(PNG), alice.upload(b"secret", "text/plain", "s.txt")
    thread_id, _ = alice.new_thread(sent["id"])
    for attachment in (sent, unsent):
        assert error_of(bob.send(attachment["id"])) == (404, "not_found")
        assert error_of(bob.ask("attachments.delete", attachment_id=attachment["id"])) == (404, "not_found")
    assert bob.threads() == []
    for kind in ("threads.get_by_id", "threads.delete"):
        assert error_of(bob.ask(kind, thread_id=thread_id)) == (404, "not_found")
    # A link of bob's own is no key to alice's file.
    own = bob.upload(PNG)
    for attachment in (sent, unsent):
        guessed = own["preview_url"].replace(own["id"], attachment["id"])
        assert status(bob.client.get(guessed)) == 403
        guessed = own["upload_descriptor"]["url"].replace(own["id"], attachment["id"])
        assert status(httpx2.put(guessed, content=PNG, headers={"Content-Type": "image/png"})) == 403
    assert httpx2.get(alice.stored_message(thread_id)["attachments"][0]["preview_url"]).content == PNG
    alice.new_thread(unsent["id"])


def test_a_message_waits_for_its_files(both: tuple[Page, Page]) -> None:
    alice, _ = both
    thread_id, _ = alice.new_thread()
    made = alice.announce(PNG)
    assert error_of(alice.send(made["id"])) == (409, "upload_incomplete")
    assert error_of(alice.send(made["id"], thread_id=thread_id)) == (409, "upload_incomplete")
    assert alice.threads() == [thread_id]
    assert len(alice.ask("threads.get_by_id", thread_id=thread_id).json()["items"]["data"]) == 2
    assert alice.put(made, PNG).status_code == 200
    assert alice.send(made["id"], thread_id=thread_id).status_code == 200


def test_attachments_delete_deletes_the_file(both: tuple[Page, Page]) -> None:
    alice, _ = both
    made = alice.upload(PNG)
    assert alice.ask("attachments.delete", attachment_id=made["id"]).json() == {}
    assert status(httpx2.get(made["preview_url"])) == 404
    assert status(alice.send(made["id"])) in {404, 409}


def test_direct_uploads(both: tuple[Page, Page]) -> None:
    alice, bob = both
    part = ("ünïcode.png", PNG, "image/png")
    anonymous = httpx2.post(f"{alice.client.base_url}/chatkit/files", files={"file": part})
    assert error_of(anonymous) == (401, "unauthenticated")
    answer = alice.client.post("/chatkit/files", files={"file": part})
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert (made["type"], made["name"], made["mime_type"]) == ("image", "ünïcode.png", "image/png")
    assert "upload_descriptor" not in made
    assert httpx2.get(made["preview_url"]).content == PNG
    assert error_of(bob.send(made["id"])) == (404, "not_found")
    thread_id, item = alice.new_thread(made["id"])
    assert item["attachments"][0]["name"] == "ünïcode.png"
    assert alice.ask("threads.delete", thread_id=thread_id).status_code == 200
    assert status(httpx2.get(made["preview_url"])) == 404


def test_direct_uploads_have_limits(both: tuple[Page, Page]) -> None:
    alice, _ = both
    for part, expected in (
        (("a.png", PNG[:8] + bytes(100_000), "image/png"), 413),
        (("a.png", bytes(400_000), "image/png"), 413),
        (("a.png", HTML, "image/png"), 415),
        (("a.svg", PNG, "image/svg+xml"), 415),
        (("a.pdf", b"%PDF-", "application/pdf"), 415),
    ):
        assert status(alice.client.post("/chatkit/files", files={"file": part})) == expected, part[0]
    assert status(alice.client.post("/chatkit/files", files={"other": ("a", b"a", "text/plain")})) == 422
    assert status(alice.client.post("/chatkit/files", files={"file": (None, "a text")})) == 422
    assert status(alice.client.post("/chatkit/files", content=PNG)) == 415
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert status(alice.client.post("/chatkit/files", content=b"--y\r\n", headers=broken)) in {400, 422}


def check_that_files_of_deleted_messages_go_with_their_thread(alice: Page) -> None:
    thread_id, first = alice.new_thread()
    made = alice.upload(PNG)
    assert alice.send(made["id"], thread_id=thread_id).status_code == 200
    retried = alice.ask("threads.retry_after_item", thread_id=thread_id, item_id=first["id"])
    assert retried.status_code == 200
    assert alice.ask("threads.delete", thread_id=thread_id).status_code == 200
    assert status(httpx2.get(made["preview_url"])) == 404


def test_files_of_deleted_messages_go_with_their_thread(both: tuple[Page, Page], store_kind: str) -> None:
    if store_kind == "adapted":
        pytest.skip("a ten-method store has no records of attachments")
    check_that_files_of_deleted_messages_go_with_their_thread(both[0])


def check_that_each_thread_has_its_own_file(alice: Page, *, first_goes_first: bool) -> None:
    made = alice.upload(PNG)
    first, one = alice.new_thread(made["id"])
    second, two = alice.new_thread(made["id"])
    (mine,), (copy,) = one["attachments"], two["attachments"]
    assert mine["id"] == made["id"] != copy["id"]
    assert (copy["name"], copy["mime_type"]) == (mine["name"], mine["mime_type"])
    # Within its thread it is the same file again.
    assert alice.send(copy["id"], thread_id=second).status_code == 200
    items = alice.ask("threads.get_by_id", thread_id=second).json()["items"]["data"]
    assert [item["attachments"][0]["id"] for item in items if item["type"] == "user_message"] == [
        copy["id"],
        copy["id"],
    ]
    links = {first: mine["preview_url"], second: copy["preview_url"]}
    for thread_id in (first, second) if first_goes_first else (second, first):
        assert {link: httpx2.get(link).content for link in links.values()} == dict.fromkeys(
            links.values(), PNG
        )
        assert alice.ask("threads.delete", thread_id=thread_id).status_code == 200
        assert status(httpx2.get(links.pop(thread_id))) == 404


@pytest.mark.parametrize("first_goes_first", [True, False])
def test_each_thread_has_its_own_file(
    both: tuple[Page, Page], setting: Setting, store_kind: str, first_goes_first: bool
) -> None:
    if store_kind == "adapted":
        pytest.skip("a ten-method store has no records of attachments")
    alice, _ = both
    check_that_each_thread_has_its_own_file(alice, first_goes_first=first_goes_first)
    if setting.kind == "local":
        assert [path for path in (setting.files.directory / "files").rglob("*") if path.is_file()] == []


class Failing(MemoryStore[Any]):
    """Takes no messages any more when it is told so."""

    fails = False

    async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        if self.fails:
            raise OSError("the disk is full")
        await super().add_thread_item(thread_id, item, context)


def test_a_message_that_is_not_stored_leaves_no_copy(tmp_path: Path) -> None:
    store, files = Failing(), LocalFileStore(tmp_path, secret="a secret of the tests")
    with pages(make_app(SampleServer(store, file_store=files))) as (alice, _):
        made = alice.upload(PNG)
        alice.new_thread(made["id"])
        thread_id, _ = alice.new_thread()
        before = sorted(tmp_path.rglob("*/data"))
        store.fails = True
        for params in ({}, {"thread_id": thread_id}):
            assert alice.send(made["id"], **params).status_code >= 500
        assert sorted(tmp_path.rglob("*/data")) == before
        assert httpx2.get(made["preview_url"]).content == PNG


def test_a_file_of_a_message_that_is_not_stored_is_an_orphan(files_kind: str, tmp_path: Path) -> None:
    store = Failing()
    setting = Setting(files_kind, store, tmp_path)
    with pages(make_app(SampleServer(store, file_store=setting.files))) as (alice, _):
        sent, unsent = alice.upload(PNG), alice.upload(PNG)
        store.fails = True
        assert alice.send(unsent["id"]).status_code >= 500
        store.fails = False
        # It may be sent again, and a file that a message has is not released by another that fails.
        thread_id, _ = alice.new_thread(sent["id"])
        store.fails = True
        assert alice.send(sent["id"], thread_id=thread_id).status_code >= 500
        setting.clock = 90_000
        assert asyncio.run(setting.files.sweep_orphans()) >= 1
        setting.clock = 0
        assert asyncio.run(setting.files.read(sent["id"])) == PNG
        with pytest.raises(NotFoundError):
            asyncio.run(setting.files.read(unsent["id"]))


def test_a_file_that_cannot_be_copied_goes_with_the_last_thread_that_named_it() -> None:
    server = SampleServer(MemoryStore(), file_store=ReferenceStore(s3_server()))
    with pages(make_app(server)) as (alice, _):
        made = alice.upload(PNG)
        first, _ = alice.new_thread(made["id"])
        second, item = alice.new_thread(made["id"])
        assert item["attachments"][0]["id"] == made["id"]
        assert alice.ask("threads.delete", thread_id=first).status_code == 200
        assert httpx2.get(made["preview_url"]).content == PNG
        assert alice.ask("threads.delete", thread_id=second).status_code == 200
        assert status(httpx2.get(made["preview_url"])) == 404


def test_postgresql_and_s3_together(postgres_database: str, tmp_path: Path) -> None:
    setting = Setting("s3", PostgresStore(postgres_database), tmp_path)
    with pages(make_app(SampleServer(setting.store, file_store=setting.files))) as (alice, bob):
        made = alice.upload(PNG)
        assert error_of(bob.send(made["id"])) == (404, "not_found")
        thread_id, _ = alice.new_thread(made["id"])
        url = alice.stored_message(thread_id)["attachments"][0]["preview_url"]
        assert httpx2.get(url).content == PNG
        assert alice.ask("threads.delete", thread_id=thread_id).status_code == 200
        assert status(httpx2.get(url)) == 404
        check_that_files_of_deleted_messages_go_with_their_thread(alice)
        for first_goes_first in (True, False):
            check_that_each_thread_has_its_own_file(alice, first_goes_first=first_goes_first)


def test_the_references_bucket_works_as_written(
    tmp_path: Path, store_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATKIT_SECRET", "a secret of the tests")
    server = SampleServer(make_store(store_kind, tmp_path), file_store=ReferenceStore(s3_server()))
    with pages(make_app(server)) as (alice, bob):
        made = alice.upload(PNG)
        assert error_of(bob.send(made["id"])) == (404, "not_found")
        thread_id, _ = alice.new_thread(made["id"])
        url = alice.stored_message(thread_id)["attachments"][0]["preview_url"]
        assert httpx2.get(url).content == PNG
        direct = alice.client.post("/chatkit/files", files={"file": ("a.png", PNG, "image/png")})
        assert error_of(direct) == (501, "not_implemented")
        assert alice.ask("threads.delete", thread_id=thread_id).status_code == 200
        assert httpx2.get(url).status_code == 404
