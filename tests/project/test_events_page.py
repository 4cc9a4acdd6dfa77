"""``docs/events.md`` names every kind of event, update and item, and its examples yield them."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from chatkit.server import ChatKitServer
from chatkit.store import MemoryStore
from chatkit.types import (
    EndOfTurnItem,
    SDKHiddenContextItem,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    UserMessageItem,
    UserMessageTextContent,
)
from tests.support.event_examples import PAGE, PICTURES, example_servers

TEXT = PAGE.read_text()
LARGEST_PICTURE_BYTES = 60_000


def kinds(union: Any) -> list[type[BaseModel]]:
    """Returns the members of an annotated union."""
    return list(get_args(get_args(union)[0]))


EVENTS, UPDATES, ITEMS = kinds(ThreadStreamEvent), kinds(ThreadItemUpdate), kinds(ThreadItem)


@pytest.mark.parametrize("kind", [*EVENTS, *UPDATES, *ITEMS], ids=lambda kind: kind.__name__)
def test_each_kind_has_a_row(kind: type[BaseModel]) -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and f"`{kind.__name__}" in line]
    assert rows, f"{kind.__name__} is in no table of {PAGE.name}"
    if kind not in ITEMS:
        assert any(f"`{kind.model_fields['type'].default}`" in row for row in rows)


async def test_the_examples_yield_each_kind() -> None:
    context = {"user_id": "ada"}
    store = MemoryStore[dict[str, str]]()
    yielded: list[Any] = []
    for name, make in example_servers().items():
        thread = ThreadMetadata(id=name)
        await store.save_thread(thread, context)
        content = [UserMessageTextContent(text=name)]
        message = UserMessageItem(id=f"msg_{name}", thread_id=name, content=[*content])
        yielded += [event async for event in make(store).respond(thread, message, context)]
    assert any(isinstance(event, str) for event in yielded)
    # Those that the server sends by itself.
    missing = set(EVENTS) - {type(event) for event in yielded} - {ThreadCreatedEvent, ThreadUpdatedEvent}
    updates = {type(event.update) for event in yielded if isinstance(event, ThreadItemUpdatedEvent)}
    items = {type(item) for event in yielded if (item := getattr(event, "item", None)) is not None}
    # What the user sends, what the package keeps, and what nothing needs.
    items |= {UserMessageItem, SDKHiddenContextItem, EndOfTurnItem}
    assert missing | (set(UPDATES) - updates) | (set(ITEMS) - items) == set()


@pytest.mark.parametrize("name", list(example_servers()))
async def test_an_example_answers(name: str) -> None:
    server: ChatKitServer[Any] = example_servers()[name](MemoryStore())
    body = (
        '{"type": "threads.create", "params": {"input": {"content": [{"type": "input_text", "text": "Hi"}]}}}'
    )
    frames: list[bytes] = [frame async for frame in await server.process(body, {"user_id": "ada"})]  # pyright: ignore[reportGeneralTypeIssues]
    errors = [frame for frame in frames if b'"type":"error"' in frame.replace(b" ", b"")]
    assert len(errors) == (1 if name == "notices" else 0), errors
    await server.close()


def test_each_picture_is_there_and_small() -> None:
    shown = re.findall(r"^!\[[^\]]+\]\(pictures/([\w-]+\.png)\)$", TEXT, re.MULTILINE)
    assert shown
    assert sorted(shown) == sorted(path.name for path in PICTURES.glob("*.png"))
    assert [name for name in shown if (PICTURES / name).stat().st_size > LARGEST_PICTURE_BYTES] == []
