"""Any sequence of events, ended in any way: client, late reader and store agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.sse import SSEDecoder
from chatkit.streams.memory import MemoryStreamLog
from chatkit.types import (
    HiddenContextItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
)
from tests.server.support import LIMIT, ScriptedServer, decode, delta, drain, message
from tests.support.scale import examples

IDS = ["msg_a", "msg_b", "msg_c"]
HIDDEN = "hidden"


def item(id: str, text: str) -> Any:
    return HiddenContextItem(id=id, content="secret") if text == HIDDEN else message(text, id)


ids = st.sampled_from(IDS)
words = st.sampled_from(["", " ", "One", "Two ", HIDDEN])
steps = st.one_of(
    st.builds(lambda id, text: ("added", ThreadItemAddedEvent(item=item(id, text))), ids, words),
    st.builds(lambda id, text: ("delta", delta(text, id)), ids, words),
    st.builds(lambda id, text: ("done", ThreadItemDoneEvent(item=item(id, text))), ids, words),
    st.builds(lambda id: ("done", ThreadItemDoneEvent(id=id)), ids),
    st.builds(lambda id, text: ("replaced", ThreadItemReplacedEvent(item=item(id, text))), ids, words),
    st.builds(lambda id: ("removed", ThreadItemRemovedEvent(item_id=id)), ids),
    st.just(("turn", None)),
)


class Client:
    """Shows messages as a front end does: by id, in the order in which they came."""

    def __init__(self) -> None:
        self.items: dict[str, list[str]] = {}

    def take(self, found: list[Any]) -> Client:
        for event in found:
            kind = event["type"]
            if kind in {"thread.item.added", "thread.item.done", "thread.item.replaced"}:
                given_item = event["item"]
                self.items[given_item["id"]] = [part["text"] for part in given_item["content"]]
            elif kind == "thread.item.removed":
                self.items.pop(event["item_id"], None)
            elif kind == "thread.item.updated":
                parts, update = self.items[event["item_id"]], event["update"]
                if update["type"].endswith("added"):
                    parts.append(update["content"]["text"])
                else:
                    parts[update["content_index"]] += update["delta"]
        return self


async def play(script_steps: list[Any], end: str, window: int) -> None:
    async def script(thread: Any, given_message: Any, context: Any) -> AsyncIterator[Any]:
        for kind, event in script_steps:
            if kind == "turn":
                await asyncio.sleep(0)
            else:
                yield event
        if end == "fail":
            raise RuntimeError
        if end == "stop":
            await server.ask("turns.stop", thread_id=thread.id)

    log = MemoryStreamLog(window=window)
    server = ScriptedServer(script, stream_log=log, persist_item_updates=True)
    result = await server.create(metadata={"resumable": True})
    frames = await drain(result)
    assert b"secret" not in b"".join(frames)
    stored = {
        entry.id: [part.text for part in entry.content]
        for entry in await server.items(result.thread_id)
        if entry.type in {"user_message", "assistant_message"}
    }
    shown = Client().take(decode(frames)).items
    assert shown == stored
    late = Client().take(decode(await drain(await server.send("turns.resume", thread_id=result.thread_id))))
    assert late.items == stored
    page = await server.ask("items.list", thread_id=result.thread_id, order="asc")
    assert [entry["id"] for entry in page["data"]] == list(stored)
    for cut in range(1, len(frames)):
        decoder = SSEDecoder()
        decoder.feed(b"".join(frames[:cut]))
        after = {"after": decoder.last_id} if decoder.last_id else {}
        rest = await server.send("turns.resume", thread_id=result.thread_id, **after)
        model = Client().take(decode(frames[:cut]))
        assert model.take(decode(await drain(rest))).items == stored, cut


@settings(max_examples=examples(60))
@given(
    st.lists(steps, max_size=12),
    st.sampled_from(["return", "fail", "stop"]),
    st.sampled_from([1, 600, 1 << 20]),
)
def test_client_late_reader_and_store_agree(script_steps: list[Any], end: str, window: int) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT):
            await play(script_steps, end, window)

    asyncio.run(bounded())
