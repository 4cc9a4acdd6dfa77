"""The interfaces that the reference prints are those of `chatkit.types`."""

from __future__ import annotations

import inspect
import typing
from typing import Any

import httpx2
import pytest

import chatkit.types
from chatkit.store import MemoryStore
from tests.files.page import PNG, error_of, make_app, pages
from tests.reference.conftest import Load
from tests.reference.document import read_blocks
from tests.support.s3 import s3_server
from tests.web.sample import SampleServer


def printed(title: str, name: str) -> type:
    """Runs a block as the document has it, without any repair, and returns a class of it."""
    (block,) = (block for block in read_blocks() if block.title == title)
    names: dict[str, Any] = {"__name__": "printed"}
    exec(compile(block.code, title, "exec"), names)
    return names[name]


def methods(interface: type) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(interface).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def shape(method: Any) -> tuple[Any, ...]:
    """Returns what a caller and an implementation depend on: kind, parameters, and types by what they mean."""
    parameters = [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(method).parameters.values()
    ]
    return inspect.iscoroutinefunction(method), parameters, typing.get_type_hints(method)


@pytest.mark.parametrize(
    ("title", "name", "abstract_only_there"),
    [
        ("Store Interface", "Store", set()),
        # The reference's own S3 example has no upload().
        ("FileStore Interface", "FileStore", {"upload"}),
    ],
)
def test_the_same_methods(title: str, name: str, abstract_only_there: set[str]) -> None:
    theirs, ours = printed(title, name), getattr(chatkit.types, name)
    assert list(methods(theirs)) == list(methods(ours))
    for method in methods(theirs):
        assert shape(getattr(ours, method)) == shape(getattr(theirs, method)), method
    assert theirs.__abstractmethods__ - ours.__abstractmethods__ == abstract_only_there
    assert ours.__abstractmethods__ <= theirs.__abstractmethods__


async def test_upload_says_that_it_is_missing() -> None:
    class LinksOnly(chatkit.types.FileStore):
        async def get_upload_url(self, file_id: str, metadata: chatkit.types.FileMetadata) -> str:
            return f"https://files.example/{file_id}"

        async def get_preview_url(self, file_id: str) -> str:
            return f"https://files.example/{file_id}"

        async def delete(self, file_id: str) -> None:
            pass

    metadata = chatkit.types.FileMetadata(content_type="text/plain")
    with pytest.raises(NotImplementedError, match=r"override upload\(\)"):
        await LinksOnly().upload("file_1", b"", metadata)


def test_the_postgres_example_is_a_store_with_eight_methods_to_go(load: Load) -> None:
    example = load("PostgreSQL Store Example").PostgresStore
    assert issubclass(example, chatkit.types.Store)
    assert example.__abstractmethods__ == chatkit.types.Store.__abstractmethods__ - {
        "load_thread",
        "generate_id",
    }


async def test_the_postgres_example_connects_on_first_use(load: Load) -> None:
    example = load("PostgreSQL Store Example").PostgresStore
    whole = type("Whole", (example,), dict.fromkeys(example.__abstractmethods__))
    store = whole("postgresql://nobody@127.0.0.1:1/nothing")
    assert (await store.generate_id("msg")).startswith("msg_")
    with pytest.raises(OSError, match=r"(?i)connect"):
        await store.load_thread("thr_1")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    """The tests' bucket, which boto3 finds through the environment."""
    server = s3_server()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_access_key)
    return server.bucket


def test_the_s3_example_keeps_attachments(load: Load, bucket: str) -> None:
    files = load("S3 FileStore Example").S3FileStore(bucket)
    assert isinstance(files, chatkit.types.FileStore)
    with pages(make_app(SampleServer(MemoryStore(), files))) as (alice, bob):
        made = alice.announce(PNG)
        assert made["upload_descriptor"]["headers"] == {"Content-Type": "image/png"}
        assert alice.put(made, PNG, Content_Type="text/html").status_code == 403
        assert alice.put(made, PNG).status_code == 200
        assert error_of(bob.send(made["id"])) == (404, "not_found")
        thread_id, _ = alice.new_thread(made["id"])
        preview = alice.stored_message(thread_id)["attachments"][0]["preview_url"]
        assert httpx2.get(preview).content == PNG
        assert alice.ask("threads.delete", thread_id=thread_id).status_code == 200
        assert httpx2.get(preview).status_code == 404
