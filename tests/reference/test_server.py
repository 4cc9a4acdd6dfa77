"""The reference's server class, with its store, and its error handling, in real turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import chatkit.types
from chatkit.errors import NotFoundError
from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from tests.reference.conftest import Load
from tests.reference.turns import action, ask, kinds, message, stream

# sqlite3's own way to write a datetime, which the example's save_thread() uses.
pytestmark = pytest.mark.filterwarnings("ignore:The default datetime adapter is deprecated")


@pytest.fixture
def server(load: Load, tmp_path: Path) -> ChatKitServer[Any]:
    """The class of the block on the constructor, with the methods of those on respond() and action()."""
    methods, base = load("action()").Acting, load("Constructor").MyChatKitServer
    store = load("SQLite Store Example").SQLiteStore(str(tmp_path / "example.db"))
    assert isinstance(store, chatkit.types.Store)
    made = type("Whole", (methods, base), {})(store)
    assert made.store is store
    return made


def test_the_class_of_the_constructor_still_needs_respond(load: Load) -> None:
    with pytest.raises(TypeError, match="respond"):
        load("Constructor").MyChatKitServer(MemoryStore())


async def test_a_conversation_on_the_sqlite_example(server: ChatKitServer[Any]) -> None:
    events = await stream(server, message("Hello"))
    assert kinds(events) == [
        "thread.created",
        "thread.item.done",
        "stream_options",
        "thread.item.added",
        "thread.item.done",
    ]
    thread_id = events[0]["thread"]["id"]
    assert events[-1]["item"]["content"][0]["text"] == "You said Hello"
    more = await stream(server, message("More", thread_id))
    visible = [event["item"] for event in [*events, *more] if event["type"] == "thread.item.done"]
    assert (await ask(server, "items.list", thread_id=thread_id, order="asc"))["data"] == visible

    # Pages over a store that knows no pages.
    first = await ask(server, "items.list", thread_id=thread_id, order="desc", limit=3)
    assert first["data"] == visible[:0:-1]
    assert first["has_more"] is True
    rest = await ask(server, "items.list", thread_id=thread_id, order="desc", limit=3, after=first["after"])
    assert rest == {"data": visible[:1], "has_more": False}

    # Retry the second message, rename, a second thread, delete.
    again = await stream(
        server,
        {
            "type": "threads.retry_after_item",
            "params": {"thread_id": thread_id, "item_id": visible[2]["id"]},
        },
    )
    view = await ask(server, "threads.get_by_id", thread_id=thread_id)
    assert view["items"]["data"] == [*visible[:3], again[-1]["item"]]
    await ask(server, "threads.update", thread_id=thread_id, title="Renamed")
    other = (await stream(server, message("Another")))[0]["thread"]["id"]
    listed = (await ask(server, "threads.list", limit=9999, order="desc"))["data"]
    assert [(thread["id"], thread.get("title")) for thread in listed] == [
        (other, None),
        (thread_id, "Renamed"),
    ]
    await ask(server, "threads.delete", thread_id=thread_id)
    with pytest.raises(NotFoundError):
        await ask(server, "threads.get_by_id", thread_id=thread_id)
    assert [thread["id"] for thread in (await ask(server, "threads.list"))["data"]] == [other]


async def test_what_another_process_wrote_is_read(server: ChatKitServer[Any], load: Load) -> None:
    thread_id = (await stream(server, message("Hello")))[0]["thread"]["id"]
    again = type(server)(type(server.store)(server.store.db_path))  # type: ignore[attr-defined]
    before = await ask(server, "threads.get_by_id", thread_id=thread_id)
    assert await ask(again, "threads.get_by_id", thread_id=thread_id) == before
    assert len(before["items"]["data"]) == 2


@pytest.mark.parametrize(("payload", "chosen"), [({"option": "tea"}, "tea"), ({}, "None"), (None, "None")])
async def test_an_action(server: ChatKitServer[Any], payload: Any, chosen: str) -> None:
    thread_id = (await stream(server, message("Hello")))[0]["thread"]["id"]
    events = await stream(server, action(thread_id, "select_option", payload))
    # Nothing marks the item as done here: the end of the turn does.
    assert kinds(events) == ["stream_options", "thread.item.added", "thread.item.done"]
    assert events[-1]["item"]["content"][0]["text"] == f"You chose {chosen}"
    assert (await ask(server, "items.list", thread_id=thread_id))["data"][0] == events[-1]["item"]


async def test_an_action_that_is_not_known_does_nothing(server: ChatKitServer[Any]) -> None:
    thread_id = (await stream(server, message("Hello")))[0]["thread"]["id"]
    assert kinds(await stream(server, action(thread_id, "button.click", {}))) == ["stream_options"]


class Amount(BaseModel):
    cups: int


def not_a_number() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Amount.model_validate({"cups": "many"})
    return caught.value


@pytest.mark.parametrize(
    ("trouble", "reason", "text", "retry"),
    [
        ("rate", "rate_limit", "Rate limit exceeded. Please try again later.", True),
        ("invalid", "validation_error", "Invalid input: 1 validation error for Amount", False),
        ("other", "internal_error", "An unexpected error occurred.", True),
    ],
)
async def test_error_handling(
    trouble: str, reason: str, text: str, retry: bool, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    module = load("Error Handling")
    module.trouble = {"rate": module.RateLimitError(), "invalid": not_a_number(), "other": OSError("secret")}[
        trouble
    ]
    events = await stream(module.Careful(MemoryStore()), message("Hello"))
    assert kinds(events[3:]) == ["progress_update", "error"]
    error = events[-1]
    assert error.pop("message").startswith(text)
    assert error == {"type": "error", "code": "custom", "reason": reason, "allow_retry": retry}
    assert ("Unexpected error" in caplog.text) == (trouble == "other")


async def test_error_handling_without_an_error(load: Load) -> None:
    server = load("Error Handling").Careful(MemoryStore())
    assert kinds((await stream(server, message("Hello")))[3:]) == ["progress_update"]
