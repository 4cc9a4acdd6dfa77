"""Resumable turns: cut anywhere, resumed, stopped, read by many."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit.errors import InvalidRequestError, NotFoundError, TurnNotFoundError
from chatkit.sse import SSEDecoder
from chatkit.streams.memory import MemoryStreamLog
from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    ClientEffectEvent,
    ErrorEvent,
    HiddenContextItem,
    NoticeEvent,
    StreamOptionsEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    WidgetItem,
    WidgetRootUpdated,
)
from chatkit.widgets import Card, Text
from tests.server.support import (
    ADA,
    BOB,
    LIMIT,
    ScriptedServer,
    added,
    decode,
    delta,
    done,
    drain,
    hello,
    message,
    progress,
    read,
    texts,
)

RESUMABLE = {"resumable": True}


class Gates:
    """Stops a handler before each event, until a test lets it go on."""

    def __init__(self) -> None:
        self.allowed = 0
        self.news = asyncio.Condition()

    async def allow(self, count: int) -> None:
        async with self.news:
            self.allowed += count
            self.news.notify_all()

    async def pass_(self, number: int) -> None:
        async with self.news:
            await self.news.wait_for(lambda: self.allowed > number)


def script_of(yielded: list[Any], gates: Gates | None = None) -> Any:
    async def script(thread: Any, item: Any, context: Any) -> AsyncIterator[Any]:
        for number, event in enumerate(yielded):
            if gates is not None:
                await gates.pass_(number)
            if isinstance(event, str):
                thread.title = event
                yield progress("renamed")
            else:
                yield event

    return script


def widget(text: str, id: str = "wid") -> Any:
    return WidgetItem(id=id, widget=Card(children=[Text(value=text)]))


EVENTS: list[Any] = [
    progress("Thinking"),
    added(None, "msg_1"),
    delta("One ", "msg_1"),
    delta("two ", "msg_1"),
    "A title",
    ThreadItemAddedEvent(item=widget("first")),
    ThreadItemUpdatedEvent(
        item_id="wid", update=WidgetRootUpdated(widget=Card(children=[Text(value="2nd")]))
    ),
    ThreadItemAddedEvent(item=HiddenContextItem(id="hid", content="secret")),
    ThreadItemDoneEvent(id="hid"),
    delta("three", "msg_1"),
    ThreadItemDoneEvent(id="msg_1"),
    added("gone", "msg_2"),
    ThreadItemRemovedEvent(item_id="msg_2"),
    ThreadItemReplacedEvent(item=message("Replaced", "msg_1")),
    ClientEffectEvent(name="blink"),
    NoticeEvent(level="info", message="Note"),
    ThreadItemDoneEvent(id="wid"),
    StreamOptionsEvent(allow_cancel=False),
    added("Four", "msg_4"),
    delta(" five" * 40, "msg_4"),
    "Another title",
    ErrorEvent(message="Careful", allow_retry=False),
    delta(" six", "msg_4"),
]


def cursor_of(frames: list[bytes]) -> str:
    decoder = SSEDecoder()
    decoder.feed(b"".join(frames))
    return decoder.last_id


class Model:
    """What a client shows after some events."""

    def __init__(self) -> None:
        self.thread: Any = None
        self.options: Any = None
        self.items: dict[str, Any] = {}
        self.side: list[Any] = []

    def take(self, found: list[Any]) -> Model:
        for event in found:
            getattr(self, event["type"].replace(".", "_"))(event)
        return self

    def thread_created(self, event: Any) -> None:
        self.thread = event["thread"]

    thread_updated = thread_created

    def stream_options(self, event: Any) -> None:
        self.options = event["stream_options"]

    def thread_item_added(self, event: Any) -> None:
        self.items[event["item"]["id"]] = event["item"]

    thread_item_done = thread_item_added

    def thread_item_replaced(self, event: Any) -> None:
        assert event["item"]["id"] in self.items
        self.items[event["item"]["id"]] = event["item"]

    def thread_item_removed(self, event: Any) -> None:
        self.items.pop(event["item_id"], None)

    def thread_item_updated(self, event: Any) -> None:
        item, update = self.items[event["item_id"]], event["update"]
        match update["type"]:
            case "assistant_message.content_part.added":
                item["content"].append(update["content"])
            case "assistant_message.content_part.text_delta":
                item["content"][update["content_index"]]["text"] += update["delta"]
            case "widget.root.updated":
                item["widget"] = update["widget"]

    def progress_update(self, event: Any) -> None:
        """Transient."""

    def client_effect(self, event: Any) -> None:
        self.side.append(event)

    notice = error = client_effect

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment] # compared, never kept in a set


@pytest.fixture
async def uncut(store: Any) -> tuple[ScriptedServer, Any, list[bytes]]:
    server = ScriptedServer(script_of(EVENTS), store)
    result = await server.create(metadata=RESUMABLE)
    return server, result, await drain(result)


async def test_frames_carry_ids_and_end_with_a_mark(uncut: Any) -> None:
    _, result, frames = uncut
    assert result.resumable
    head = result.turn_id.encode()
    for number, frame in enumerate(frames[:-1], 1):
        assert frame.startswith(b"id: %b:%d\ndata: {" % (head, number))
        assert frame.endswith(b"}\n\n")
    data = json.dumps({"turn_id": result.turn_id, "status": "completed"}, separators=(",", ":"))
    assert frames[-1] == f"event: turn.end\nid: {result.turn_id}:{len(frames) - 1}\ndata: {data}\n\n".encode()
    assert b"secret" not in b"".join(frames)


async def test_other_streams_have_bare_frames() -> None:
    for metadata in (None, {}, {"resumable": False}, {"resumable": "true"}, {"resumable": 1}):
        result = await ScriptedServer().create(metadata=metadata)
        assert not result.resumable
        assert all(frame.startswith(b'data: {"type":') for frame in await drain(result))


async def test_resuming_after_every_frame_gives_exactly_the_rest(uncut: Any) -> None:
    server, result, frames = uncut
    for cut in range(1, len(frames) + 1):
        again = await server.send("turns.resume", thread_id=result.thread_id, after=cursor_of(frames[:cut]))
        assert again.resumable
        rest = frames[cut:] if cut < len(frames) else frames[-1:]
        assert await drain(again) == rest


async def test_a_running_turn_cut_at_every_frame_loses_and_doubles_nothing(store: Any) -> None:
    gates = Gates()
    server = ScriptedServer(script_of(EVENTS, gates), store)
    result = await server.create(metadata=RESUMABLE)
    frames: list[bytes] = []
    stream = result
    while True:
        async with asyncio.timeout(LIMIT):
            frames.append(await anext(stream.json_events))
            await stream.aclose()
            await gates.allow(1)
            if b"turn.end" in frames[-1]:
                break
            stream = await server.send("turns.resume", thread_id=result.thread_id, after=cursor_of(frames))
    whole = await server.send("turns.resume", thread_id=result.thread_id)
    assert await drain(whole) == frames
    numbers = [int(frame.split(b"\n")[0].rpartition(b":")[2]) for frame in frames[:-1]]
    assert numbers == list(range(1, len(frames)))


async def test_a_disconnect_never_stops_a_resumable_turn(store: Any) -> None:
    gates = Gates()
    server = ScriptedServer(
        script_of([added("One"), delta(" two"), ThreadItemDoneEvent(id="msg_1")], gates), store
    )
    result = await server.create(metadata=RESUMABLE)
    await read(result.json_events, 3)
    reader = asyncio.create_task(drain(result.json_events))
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await result.aclose()
    thread = await server.ask("threads.get_by_id", thread_id=result.thread_id)
    assert thread["active_turn"] == {"id": result.turn_id}
    await gates.allow(10)
    again = await server.send("turns.resume", thread_id=result.thread_id)
    assert len(decode(await drain(again))) == 6
    assert texts(await server.items(result.thread_id)) == ["One two"]
    assert "active_turn" not in await server.ask("threads.get_by_id", thread_id=result.thread_id)


@pytest.mark.parametrize("window", [1, 300, 900, 2500])
@pytest.mark.parametrize("cursor", [None, 0, 3, 8])
async def test_a_late_reader_of_a_small_window_gets_to_the_same_state(
    window: int, cursor: int | None
) -> None:
    for behind in range(len(EVENTS)):
        gates = Gates()
        server = ScriptedServer(script_of(EVENTS, gates), stream_log=MemoryStreamLog(window=window))
        result = await server.create(metadata=RESUMABLE)
        model = Model()
        seen: list[bytes] = []
        if cursor:
            seen = await read(result.json_events, 3)
        while len(seen) < (cursor or 0):
            await gates.allow(1)
            seen += await read(result.json_events, 1)
        model.take(decode(seen))
        await gates.allow(behind)
        for _ in range(100):
            await asyncio.sleep(0)
        after = {} if cursor is None else {"after": cursor_of(seen) or f"{result.turn_id}:0"}
        late = await server.send("turns.resume", thread_id=result.thread_id, **after)
        reading = asyncio.create_task(drain(late))
        await asyncio.sleep(0)
        await gates.allow(len(EVENTS))
        model.take(decode(await reading))
        fresh = await server.send("turns.resume", thread_id=result.thread_id)
        assert Model().take(decode(await drain(fresh))) == model
        stored = await server.items(result.thread_id)
        assert set(model.items) == {item.id for item in stored if item.type != "hidden_context_item"}
        shown = [model.items[item.id] for item in stored if item.type == "assistant_message"]
        assert texts(stored) == ["".join(part["text"] for part in item["content"]) for item in shown]
        assert model.thread["title"] == "Another title"
        assert model.options == {"allow_cancel": False}
        assert [event["type"] for event in model.side] == ["client_effect", "notice", "error"]
        await drain(result)


async def test_every_cursor_over_a_small_window_leads_to_the_same_state() -> None:
    reference = ScriptedServer(script_of(EVENTS))
    frames = decode(await drain(await reference.create(metadata=RESUMABLE)))
    log = MemoryStreamLog(window=400)
    server = ScriptedServer(script_of(EVENTS), stream_log=log)
    result = await server.create(metadata=RESUMABLE)
    await drain(result)
    final = Model().take(decode(await drain(await server.send("turns.resume", thread_id=result.thread_id))))
    names = {frames[0]["thread"]["id"]: result.thread_id, frames[1]["item"]["id"]: next(iter(final.items))}
    known = json.dumps(frames)
    for old, new in names.items():
        known = known.replace(old, new)
    frames = json.loads(known)

    def timeless(model: Model) -> Any:
        found = json.loads(json.dumps(vars(model)))
        for holder in (found["thread"], *found["items"].values()):
            holder.pop("created_at", None)
        return found

    for seen in range(len(frames) + 1):
        stream = await server.send(
            "turns.resume", thread_id=result.thread_id, after=f"{result.turn_id}:{seen}"
        )
        model = Model().take(frames[:seen]).take(decode(await drain(stream)))
        assert timeless(model) == timeless(final), seen


async def test_updates_of_earlier_items_reach_a_late_reader_once() -> None:
    server = ScriptedServer(hello, stream_log=MemoryStreamLog(window=1))
    thread_id = await server.new_thread()
    server = ScriptedServer(hello, server.store, stream_log=MemoryStreamLog(window=1))
    await drain(await server.say(thread_id))

    def append(text: str) -> Any:
        update = AssistantMessageContentPartTextDelta(content_index=0, delta=text)
        return ThreadItemUpdatedEvent(item_id="msg_1", update=update)

    server.script = script_of(
        [append(" a"), append(" b"), ThreadItemReplacedEvent(item=message("C")), append(" d")]
    )
    result = await server.say(thread_id, metadata=RESUMABLE)
    await drain(result)
    late = decode(await drain(await server.send("turns.resume", thread_id=thread_id)))
    model = Model()
    model.items["msg_1"] = {"content": [{"text": "Hello!"}]}
    model.take(late)
    assert model.items["msg_1"]["content"][0]["text"] == "C d"


async def test_many_readers_at_once_see_the_same(store: Any) -> None:
    gates = Gates()
    server = ScriptedServer(script_of(EVENTS, gates), store)
    result = await server.create(metadata=RESUMABLE)
    readers = [asyncio.create_task(drain(result))]
    for number in range(len(EVENTS)):
        again = await server.send("turns.resume", thread_id=result.thread_id, after=f"{result.turn_id}:0")
        readers.append(asyncio.create_task(drain(again)))
        await gates.allow(1)
        if number % 5 == 0:
            readers.pop().cancel()
    found = await asyncio.gather(*readers)
    assert len(found) > 10
    assert all(frames == found[0] for frames in found)


async def test_other_owners_and_threads_cannot_resume(uncut: Any) -> None:
    server, result, frames = uncut
    cursor = cursor_of(frames[:2])
    with pytest.raises(NotFoundError):
        await server.send("turns.resume", BOB, thread_id=result.thread_id, after=cursor)
    mine = await server.create("Mine", BOB)
    await drain(mine)
    for after in (cursor, "turn_none:1"):
        with pytest.raises(TurnNotFoundError):
            await server.send("turns.resume", BOB, thread_id=mine.thread_id, after=after)


@pytest.mark.parametrize(
    "after", ["", "x", "turn:", ":1", "turn:-1", "turn:1.5", "turn:٣", "turn:" + "9" * 30]
)
async def test_what_is_no_cursor(after: str, uncut: Any) -> None:
    server, result, _ = uncut
    with pytest.raises(InvalidRequestError):
        await server.send("turns.resume", thread_id=result.thread_id, after=after)


async def test_a_cursor_of_the_future(uncut: Any) -> None:
    server, result, frames = uncut
    with pytest.raises(InvalidRequestError):
        await server.send("turns.resume", thread_id=result.thread_id, after=f"{result.turn_id}:{len(frames)}")


async def test_a_turn_that_is_not_resumable_cannot_be_resumed() -> None:
    gates = Gates()
    server = ScriptedServer(script_of([progress()], gates))
    result = await server.create()
    for after in (None, f"{result.turn_id}:1"):
        with pytest.raises(TurnNotFoundError):
            await server.send("turns.resume", thread_id=result.thread_id, after=after)
    await gates.allow(1)
    await drain(result)


async def test_a_turn_is_kept_for_a_while_after_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("chatkit.streams.local.time.monotonic", lambda: now)
    server = ScriptedServer(hello, stream_log=MemoryStreamLog(retention=120))
    result = await server.create(metadata=RESUMABLE)
    frames = await drain(result)
    now += 119
    assert await drain(await server.send("turns.resume", thread_id=result.thread_id)) == frames
    now += 2
    for after in (None, cursor_of(frames[:2])):
        with pytest.raises(TurnNotFoundError):
            await server.send("turns.resume", thread_id=result.thread_id, after=after)
    thread = await server.ask("threads.get_by_id", thread_id=result.thread_id)
    assert len(thread["items"]["data"]) == 2


async def test_without_a_cursor_the_latest_turn_is_resumed() -> None:
    server = ScriptedServer(hello)
    first = await server.create(metadata=RESUMABLE)
    await drain(first)
    second = await server.say(first.thread_id, metadata=RESUMABLE)
    frames = await drain(second)
    assert await drain(await server.send("turns.resume", thread_id=first.thread_id)) == frames


async def test_a_second_reader_stops_the_turn(store: Any) -> None:
    gates = Gates()
    await gates.allow(2)
    server = ScriptedServer(script_of([added("Partial"), progress(), progress()], gates), store)
    result = await server.create(metadata=RESUMABLE)
    await read(result.json_events, 5)
    second = await server.send("turns.resume", thread_id=result.thread_id)
    stopped = await server.ask("turns.stop", thread_id=result.thread_id)
    assert stopped == {"stopped": [result.turn_id]}
    # Acknowledged when the partial text is saved.
    assert texts(await server.items(result.thread_id)) == ["Partial"]
    for frames in (await drain(second), await drain(result)):
        assert b'"status":"stopped"' in frames[-1]
        assert decode(frames)[-1]["item"]["content"][0]["text"] == "Partial"


async def test_stop_works_from_an_end_point_of_the_same_owner_only() -> None:
    gates = Gates()
    server = ScriptedServer(script_of([progress()], gates))
    result = await server.create(metadata=RESUMABLE)
    with pytest.raises(NotFoundError):
        await server.ask("turns.stop", BOB, thread_id=result.thread_id)
    other = await server.create("Other", ADA)
    ask = {"thread_id": other.thread_id, "turn_id": result.turn_id}
    assert await server.ask("turns.stop", **ask) == {"stopped": []}
    await gates.allow(1)
    assert b'"status":"completed"' in (await drain(result))[-1]
    await drain(other)


async def test_ready_frames_are_merged_without_changing_a_byte(uncut: Any) -> None:
    server, result, frames = uncut
    again = await server.send("turns.resume", thread_id=result.thread_id)
    async with asyncio.timeout(LIMIT):
        chunks = [chunk async for chunk in again.batches()]
    assert b"".join(chunks) == b"".join(frames)
    assert len(chunks) < len(frames)


async def test_many_items_survive_a_window_of_one_event() -> None:
    yielded = [done(str(number), f"msg_{number}") for number in range(50)]
    server = ScriptedServer(script_of(yielded), stream_log=MemoryStreamLog(window=1))
    result = await server.create(metadata=RESUMABLE)
    await drain(result)
    late = decode(await drain(await server.send("turns.resume", thread_id=result.thread_id)))
    assert [event["item"]["id"] for event in late if "item" in event][1:] == [
        f"msg_{number}" for number in range(50)
    ]


@pytest.mark.parametrize("moment", ["before the items", "after the items"])
async def test_a_turn_that_ends_while_its_thread_is_loaded_is_told_or_its_answer_is_there(
    moment: str, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        await gate.wait()
        yield done("Hello!")

    server = ScriptedServer(script, store)
    result = await server.create(metadata={"resumable": True})
    turn = server._chatkit_turns()._running[result.turn_id]
    load = store.load_thread_items

    async def load_and_end(*args: Any) -> Any:
        monkeypatch.setattr(store, "load_thread_items", load)
        if moment == "after the items":
            found = await load(*args)
            gate.set()
            await turn.wait_finished()
            return found
        gate.set()
        await turn.wait_finished()
        return await load(*args)

    monkeypatch.setattr(store, "load_thread_items", load_and_end)
    found = await server.ask("threads.get_by_id", thread_id=result.thread_id)
    answered = [item["type"] for item in found["items"]["data"]] == ["user_message", "assistant_message"]
    assert answered or found["active_turn"] == {"id": result.turn_id}
    await drain(result)
