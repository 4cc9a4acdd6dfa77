"""The hooks that review what users send and what is answered: what they see, what is stored, and how they fail."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chatkit import ThreadMetadata
from chatkit.errors import (
    ContentRefusedError,
    CustomStreamError,
    InvalidRequestError,
    NotFoundError,
    RateLimitedError,
    RequestError,
    ReviewFailedError,
)
from chatkit.review import map_texts, texts_of, with_texts
from chatkit.server.requests.sendings import fingerprint
from chatkit.store import MemoryStore
from chatkit.types import (
    Annotation,
    AssistantMessageContentPartTextDelta,
    ClientToolCallItem,
    HiddenContextItem,
    Page,
    StructuredInputFreeform,
    StructuredInputItem,
    SyncCustomActionResponse,
    Thread,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadUpdatedEvent,
    URLSource,
    UserMessageItem,
    WidgetItem,
)
from chatkit.widgets import BasicRoot, Text
from tests.server.support import (
    ADA,
    LIMIT,
    ScriptedServer,
    added,
    answer,
    decode,
    delta,
    done,
    drain,
    message,
    silent,
    user_input,
    writes_apart,
)

SECRET = "4111 1111"
STORES = pytest.mark.parametrize(
    "store", [MemoryStore, lambda: writes_apart(MemoryStore())], ids=["whole", "apart"]
)


def masked(text: str) -> str:
    return text.replace(SECRET, "[card]")


class ReviewingServer(ScriptedServer):
    """Takes a card number out of what users send, refuses what says "bomb", and writes down what it was asked."""

    change: Any = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.reviewed: list[Any] = []
        self.acted: list[Any] = []

    async def review_input(self, params: Any, context: Any) -> Any:
        self.reviewed.append(type(params).__name__)
        if self.change is not None:
            return await self.change(params)
        if any("bomb" in text for text in texts_of(params)):
            raise ContentRefusedError("Not here.")
        return map_texts(params, masked)

    async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
        self.acted.append(action.payload)
        yield "done"

    async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
        self.acted.append(action.payload)


class OutputServer(ScriptedServer):
    """Takes a card number out of what is answered, and refuses what says "bomb"."""

    async def review_output(self, item: Any, thread: ThreadMetadata, context: Any) -> Any:
        assert (context, type(thread)) == (ADA, ThreadMetadata)
        if any("bomb" in text for text in texts_of(item)):
            raise ContentRefusedError("Withheld.")
        return map_texts(item, masked)


async def pending_thread(server: ScriptedServer, item: Any) -> str:
    """Returns a thread whose last answer asks the page for something."""

    async def script(thread: Any, given: Any, context: Any) -> Any:
        yield ThreadItemDoneEvent(item=item)

    server.script = script
    result = await server.create()
    await drain(result)
    server.script = silent
    return result.thread_id


def everything(store: MemoryStore) -> str:
    """Returns all that a store in memory holds, in any attribute."""
    seen: set[int] = set()

    def look(value: Any) -> list[str]:
        if id(value) in seen:
            return []
        seen.add(id(value))
        if isinstance(value, str | bytes):
            return [value if isinstance(value, str) else value.decode("utf-8", "replace")]
        if isinstance(value, dict):
            return [text for pair in value.items() for part in pair for text in look(part)]
        if isinstance(value, list | tuple | set | frozenset):
            return [text for part in value for text in look(part)]
        if hasattr(value, "__dict__") or hasattr(value, "__slots__"):
            names = [*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())]
            return [text for name in names for text in look(getattr(value, name, None))]
        return []

    return "\n".join(look(store))


# What users send.


@STORES
async def test_what_is_stored_shown_and_handled_is_what_the_review_leaves(store: Callable[[], Any]) -> None:
    given: list[Any] = []

    async def script(thread: Any, item: Any, context: Any) -> Any:
        given.append(item)
        yield "Hello"

    server = ReviewingServer(script, store())
    events = await server.ask(
        "threads.create", input=user_input(f"My card is {SECRET}", quoted_text=f"You said {SECRET}")
    )
    thread_id = events[0]["thread"]["id"]
    await server.ask("threads.add_user_message", thread_id=thread_id, input=user_input(f"Again {SECRET}"))
    assert texts_of(given[0]) == ["My card is [card]", "You said [card]"]
    assert SECRET not in str(events) + everything(server.store)
    assert server.reviewed == ["ThreadCreateParams", "ThreadAddUserMessageParams"]


@STORES
async def test_what_is_refused_leaves_nothing_behind(store: Callable[[], Any]) -> None:
    server = ReviewingServer(silent, store())
    key = {"idempotency_key": "k1"}
    for metadata in (None, key, key):
        with pytest.raises(ContentRefusedError, match=r"Not here\.") as refused:
            await server.ask("threads.create", metadata=metadata, input=user_input("A bomb"))
    assert (refused.value.status, refused.value.code) == (422, "content_refused")
    assert await server.ask("threads.list") == {"data": [], "has_more": False}
    assert "bomb" not in everything(server.store)
    # The key is free: what is sent with it in other words is a new message.
    thread_id = (await server.ask("threads.create", metadata=key, input=user_input("A balm")))[0]["thread"][
        "id"
    ]
    for metadata in (None, {"idempotency_key": "k2"}):
        with pytest.raises(ContentRefusedError):
            await server.ask(
                "threads.add_user_message", metadata=metadata, thread_id=thread_id, input=user_input("A bomb")
            )
    assert len(await server.items(thread_id)) == 1


async def _raises(error: Exception) -> Any:
    raise error


FAILURES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "raises": lambda _: _raises(OSError("moderation.example.com is away")),
    "returns nothing": lambda _: asyncio.sleep(0),
    "returns another thing": lambda _: asyncio.sleep(0, "My card"),
    "never ends": lambda _: asyncio.Event().wait(),
    "wants a store": lambda _: _raises(ReviewFailedError("The moderation is not set up.")),
}


@STORES
@pytest.mark.parametrize("how", FAILURES)
async def test_a_hook_that_fails_lets_nothing_pass(
    store: Callable[[], Any], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = ReviewingServer(silent, store())
    server.change, server.review_seconds = FAILURES[how], 0.02
    caplog.set_level(logging.WARNING, "chatkit.server")
    with pytest.raises(ReviewFailedError) as failed:
        await server.ask("threads.create", metadata={"idempotency_key": "k"}, input=user_input(SECRET))
    assert (failed.value.status, failed.value.code) == (503, "review_failed")
    assert failed.value.public_message == ReviewFailedError.default_message
    assert await server.ask("threads.list") == {"data": [], "has_more": False}
    assert SECRET not in everything(server.store) + caplog.text
    assert "ReviewingServer.review_input()" in caplog.text
    # Sent again when the hook works, it is taken.
    server.change = None
    assert await server.ask("threads.create", metadata={"idempotency_key": "k"}, input=user_input(SECRET))


@pytest.mark.parametrize(
    ("raised", "kind", "status"),
    [
        (RateLimitedError("Slowly.", retry_after=3), RateLimitedError, 429),
        (CustomStreamError("Not so."), ContentRefusedError, 422),
        (NotFoundError(), NotFoundError, 404),
    ],
)
async def test_errors_for_the_client_are_passed_on(
    raised: Exception, kind: type[RequestError], status: int
) -> None:
    server = ReviewingServer(silent)
    server.change = lambda _: _raises(raised)
    with pytest.raises(kind) as refused:
        await server.ask("threads.create", input=user_input())
    assert refused.value.status == status


@STORES
async def test_a_message_that_is_sent_again_is_the_one_that_was_reviewed(store: Callable[[], Any]) -> None:
    server = ReviewingServer(silent, store())
    count = 0

    async def differently(params: Any) -> Any:
        nonlocal count
        count += 1
        return map_texts(params, lambda text: f"{masked(text)} {count}")

    server.change = differently
    key = {"idempotency_key": "k"}
    first = await server.ask("threads.create", metadata=key, input=user_input(SECRET))
    again = await server.ask("threads.create", metadata=key, input=user_input(SECRET))
    thread_id = first[0]["thread"]["id"]
    assert again[0]["thread"]["id"] == thread_id
    (kept,) = await server.items(thread_id)
    assert texts_of(kept) == ["[card] 1"]
    assert SECRET not in str(again)
    if store is MemoryStore:
        assert count == 1


async def test_a_key_is_of_one_message_and_keeps_no_hash_of_its_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who reads the database must not find out by trying what a card number was."""
    plain, reviewing = ScriptedServer(silent), ReviewingServer(silent)

    def mark(server: ScriptedServer, text: str) -> str:
        from chatkit.server.parsing import parse_request

        body = {"type": "threads.create", "params": {"input": user_input(text)}}
        request = parse_request(json.dumps(body), server._chatkit_limits)
        return fingerprint(server._chatkit_scope(ADA, request), request).kept

    monkeypatch.delenv("CHATKIT_SECRET", raising=False)
    assert mark(reviewing, "1") == mark(reviewing, "2") != mark(plain, "1") != mark(plain, "2")
    marks: list[str] = []
    for secret in ("one secret of the tests", "another secret of them"):
        monkeypatch.setenv("CHATKIT_SECRET", secret)
        marks += [mark(reviewing, "1"), mark(reviewing, "2")]
    assert len({*marks, mark(plain, "1")}) == 5
    await reviewing.ask("threads.create", metadata={"idempotency_key": "k"}, input=user_input("One"))
    with pytest.raises(InvalidRequestError, match="used for another request"):
        await reviewing.ask("threads.create", metadata={"idempotency_key": "k"}, input=user_input("Two"))


@STORES
async def test_a_key_outlives_a_new_secret_and_a_hook_that_is_added(
    store: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = "first " * 6, "second " * 6
    for before, old, secret in ((None, None, None), (None, None, first), (first, first, second)):
        kept = store()
        threads: set[str] = set()
        plain = ScriptedServer(silent, kept)
        reviewing = ReviewingServer(silent, kept, stream_log=plain._chatkit_turns().log)
        key = {"idempotency_key": "k"}
        for server in (plain, reviewing) if before is None else (reviewing, reviewing):
            events = await server.ask("threads.create", metadata=key, input=user_input("One"))
            threads.add(events[0]["thread"]["id"])
            for name, value in (("CHATKIT_OLD_SECRETS", old), ("CHATKIT_SECRET", secret)):
                monkeypatch.setenv(name, value or "")
        assert len(threads) == 1, (before, old, secret)


async def test_a_retry_answers_what_is_stored() -> None:
    given: list[str] = []

    async def script(thread: Any, item: Any, context: Any) -> Any:
        given.extend(texts_of(item))
        yield "Hello"

    server = ReviewingServer(script)
    events = await server.ask("threads.create", input=user_input(SECRET))
    thread_id = events[0]["thread"]["id"]
    item = (await server.items(thread_id))[0]
    await server.ask("threads.retry_after_item", thread_id=thread_id, item_id=item.id)
    assert given == ["[card]", "[card]"]
    assert server.reviewed == ["ThreadCreateParams"]


async def test_other_words_of_users_are_reviewed_too() -> None:
    server = ReviewingServer(silent)
    thread_id = await server.new_thread()
    renamed = await server.ask("threads.update", thread_id=thread_id, title=f"Card {SECRET}")
    assert renamed["title"] == "Card [card]"
    with pytest.raises(ContentRefusedError):
        await server.ask("threads.update", thread_id=thread_id, title="A bomb")

    form = {"type": "pay", "payload": {"card": SECRET, "years": [SECRET, 2]}}
    await server.ask("threads.custom_action", thread_id=thread_id, action=form)
    await server.ask("threads.sync_custom_action", thread_id=thread_id, action=form)
    assert server.acted == [{"card": "[card]", "years": ["[card]", 2]}] * 2
    with pytest.raises(ContentRefusedError):
        await server.ask(
            "threads.custom_action", thread_id=thread_id, action={"type": "a", "payload": {"a": "bomb"}}
        )
    assert len(server.acted) == 2

    call = ClientToolCallItem(id="ctc_1", call_id="c", name="look", arguments={})
    asked = await pending_thread(server, call)
    with pytest.raises(ContentRefusedError):
        await server.ask("threads.add_client_tool_output", thread_id=asked, result={"seen": "a bomb"})
    assert (await server.items(asked))[-1].status == "pending"
    await server.ask("threads.add_client_tool_output", thread_id=asked, result={"seen": SECRET})
    assert (await server.items(asked))[1].output == {"seen": "[card]"}

    questions = StructuredInputItem(
        id="si_1", inputs=[StructuredInputFreeform(id="q", question="Which card?")]
    )
    asked = await pending_thread(server, questions)
    for text in ("bomb", SECRET):
        body = {"answers": {"q": {"values": [text]}}}
        sending = server.ask("threads.add_structured_input", thread_id=asked, item_id="si_1", input=body)
        if text == "bomb":
            with pytest.raises(ContentRefusedError):
                await sending
            assert (await server.items(asked))[1].status == "pending"
        else:
            await sending
    assert (await server.items(asked))[1].inputs[0].answer.values == ["[card]"]
    assert SECRET not in everything(server.store)


async def test_who_may_not_see_a_thread_is_told_so_before_the_review() -> None:
    server = ReviewingServer(silent)
    with pytest.raises(NotFoundError):
        await server.ask("threads.add_user_message", thread_id="thr_none", input=user_input())
    assert server.reviewed == []


# What is answered.


def shown(events: list[Any]) -> list[str]:
    return [event["type"] for event in events if event["type"].startswith("thread.item")]


async def streamed(thread: Any, item: Any, context: Any) -> Any:
    yield added()
    yield delta("Your card ")
    yield delta(SECRET)
    yield done(f"Your card {SECRET}")
    yield "And in words: "
    yield f"{SECRET}."
    yield WidgetItemEvent()


def WidgetItemEvent() -> Any:
    widget = BasicRoot(children=[Text(value=SECRET, id="t")])
    return ThreadItemDoneEvent(item=WidgetItem(id="wig_1", widget=widget, copy_text=SECRET))


@STORES
async def test_an_item_is_shown_and_stored_when_it_was_reviewed(store: Callable[[], Any]) -> None:
    server = OutputServer(streamed, store())
    result = await server.create()
    events = await answer(result)
    assert SECRET not in str(events) + everything(server.store)
    assert shown(events) == ["thread.item.done"] * 4
    _, first, second, widget = await server.items(result.thread_id)
    assert texts_of(first) + texts_of(second) == ["Your card [card]", "And in words: [card]."]
    assert texts_of(widget) == ["[card]", "[card]"]


async def test_what_is_refused_is_neither_shown_nor_stored_and_the_user_is_told() -> None:
    async def script(thread: Any, item: Any, context: Any) -> Any:
        yield done("First.", "msg_1")
        yield added("How to build a ", "msg_2")
        yield delta("bomb", "msg_2")
        yield done("How to build a bomb", "msg_2")
        yield done("Last.", "msg_3")

    server = OutputServer(script)
    result = await server.create()
    events = await answer(result)
    assert "bomb" not in str(events) + everything(server.store)
    (error,) = [event for event in events if event["type"] == "error"]
    assert (error["message"], error["allow_retry"]) == ("Withheld.", False)
    assert [texts_of(item) for item in await server.items(result.thread_id)] == [["Hi"], ["First."]]


async def test_an_answer_whose_review_fails_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    class FailingServer(ScriptedServer):
        async def review_output(self, item: Any, thread: Any, context: Any) -> Any:
            raise OSError("away")

    server = FailingServer(streamed)
    result = await server.create()
    events = await answer(result)
    (error,) = [event for event in events if event["type"] == "error"]
    assert error["allow_retry"]
    assert "could not be checked" in error["message"]
    assert SECRET not in str(events) + everything(server.store)
    assert "FailingServer.review_output() failed" in caplog.text


@pytest.mark.parametrize("end", ["stop", "fail"])
async def test_what_was_not_reviewed_is_not_kept_of_a_turn_that_ends_early(end: str) -> None:
    begun = asyncio.Event()

    async def script(thread: Any, item: Any, context: Any) -> Any:
        yield added(f"Card {SECRET}")
        yield delta(" and more")
        begun.set()
        if end == "fail":
            raise RuntimeError("No more.")
        await asyncio.Event().wait()

    server = OutputServer(script)
    result = await server.create(metadata={"resumable": True})
    reading = asyncio.create_task(drain(result))
    async with asyncio.timeout(LIMIT):
        await begun.wait()
        if end == "stop":
            await server.ask("turns.stop", thread_id=result.thread_id)
        events = decode(await reading)
    assert SECRET not in str(events) + everything(server.store)
    assert [item.type for item in await server.items(result.thread_id)][:1] == ["user_message"]
    assert not any(item.type == "assistant_message" for item in await server.items(result.thread_id))


async def test_a_stop_does_not_wait_for_a_review() -> None:
    begun = asyncio.Event()

    class SlowServer(ScriptedServer):
        async def review_output(self, item: Any, thread: Any, context: Any) -> Any:
            begun.set()
            await asyncio.Event().wait()

    async def script(thread: Any, item: Any, context: Any) -> Any:
        yield done(SECRET)

    server = SlowServer(script)
    result = await server.create(metadata={"resumable": True})
    reading = asyncio.create_task(drain(result))
    async with asyncio.timeout(LIMIT):
        await begun.wait()
        await server.ask("turns.stop", thread_id=result.thread_id)
        events = decode(await reading)
    assert SECRET not in str(events) + everything(server.store)


async def test_every_way_to_change_an_item_is_reviewed() -> None:
    server = OutputServer(silent)

    async def first(thread: Any, item: Any, context: Any) -> Any:
        yield added("Open ", "msg_a")
        yield ThreadItemReplacedEvent(item=message(f"Replaced {SECRET}", "msg_a"))
        yield delta(f" more {SECRET}", "msg_a")
        yield HiddenItemEvent()
        yield added("Withdrawn", "msg_b")
        yield ThreadItemRemovedEvent(item_id="msg_b")
        yield added(f"Left pending {SECRET}", "msg_c")

    server.script = first
    result = await server.create()
    events = await answer(result)
    assert SECRET not in str(events) + everything(server.store)
    kept = {item.id: item for item in await server.items(result.thread_id)}
    assert texts_of(kept["msg_a"]) == ["Replaced [card] more [card]"]
    assert texts_of(kept["msg_c"]) == ["Left pending [card]"]
    assert "msg_b" not in kept
    done_ids = [event["item"]["id"] for event in events if event["type"] == "thread.item.done"]
    assert {"msg_a", "msg_c"} <= set(done_ids)

    async def second(thread: Any, item: Any, context: Any) -> Any:
        yield delta(f" updated {SECRET}", "msg_a")
        yield ThreadItemReplacedEvent(item=message(f"Anew {SECRET}", "msg_c"))

    server.script = second
    events = await answer(await server.say(result.thread_id))
    assert SECRET not in str(events) + everything(server.store)
    assert {"msg_a", "msg_c"} <= {
        event["item"]["id"] for event in events if event["type"] == "thread.item.replaced"
    }


def HiddenItemEvent() -> Any:
    return ThreadItemDoneEvent(item=HiddenContextItem(id="hid_1", content={"card": [SECRET]}))


async def test_a_reader_that_comes_back_gets_what_was_reviewed() -> None:
    begun = asyncio.Event()

    async def script(thread: Any, item: Any, context: Any) -> Any:
        yield done(f"Card {SECRET}", "msg_1")
        yield added(f"Not done {SECRET}", "msg_2")
        begun.set()
        await asyncio.Event().wait()

    server = OutputServer(script)
    result = await server.create(metadata={"resumable": True})
    async with asyncio.timeout(LIMIT):
        await begun.wait()
        resumed = await server.send("turns.resume", None, {"resumable": True}, thread_id=result.thread_id)
        reading = asyncio.create_task(drain(resumed))
        await server.ask("turns.stop", thread_id=result.thread_id)
        events = decode(await reading)
    assert "Card [card]" in str(events)
    assert SECRET not in str(events)
    await drain(result)


async def test_an_update_that_is_refused_is_neither_stored_nor_told_to_who_comes_back() -> None:
    """Also where an earlier update of the same item has passed."""
    told: list[bytes] = []

    class Watched(OutputServer):
        async def review_output(self, item: Any, thread: ThreadMetadata, context: Any) -> Any:
            for turn in self._chatkit_turns()._running.values():
                told.extend(turn.pipeline.state.events(-1))
            return await super().review_output(item, thread, context)

    async def first(thread: Any, item: Any, context: Any) -> Any:
        yield done("Fine", "msg_a")

    async def second(thread: Any, item: Any, context: Any) -> Any:
        yield delta(" and good", "msg_a")
        yield delta(", a bomb", "msg_a")

    server = Watched(first, persist_item_updates=True)
    result = await server.create()
    await drain(result)
    server.script = second
    events = decode(await drain(await server.say(result.thread_id, metadata={"resumable": True})))
    assert "Withheld." in str(events)
    kept = {item.id: texts_of(item) for item in await server.items(result.thread_id)}
    assert kept["msg_a"] == ["Fine and good"]
    assert b"Fine and good" in b"".join(told)
    assert "bomb" not in str(events) + everything(server.store) + str(told)


async def test_what_is_sent_beside_items_carries_none_of_their_words() -> None:
    async def script(thread: Any, item: Any, context: Any) -> Any:
        items = Page[Any](data=[message(SECRET, "msg_9")])
        yield ThreadUpdatedEvent(thread=Thread(**dict(thread), items=items))
        yield AssistantMessageContentPartTextDelta(content_index=0, delta=SECRET)

    events = await answer(await OutputServer(script).create())
    assert [event["type"] for event in events][-2:] == ["thread.updated", "error"]
    assert SECRET not in str(events)


async def test_the_answer_to_a_sync_action_is_reviewed() -> None:
    class SyncServer(OutputServer):
        async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
            return SyncCustomActionResponse(updated_item=message(action.payload["text"], "msg_9"))

    server = SyncServer(silent)
    thread_id = await server.new_thread()

    def act(text: str) -> Any:
        return server.ask(
            "threads.sync_custom_action", thread_id=thread_id, action={"type": "a", "payload": {"text": text}}
        )

    assert "[card]" in str(await act(SECRET))
    with pytest.raises(ContentRefusedError):
        await act("bomb")


async def test_a_hook_cannot_make_another_item_of_it() -> None:
    class RenamingServer(ScriptedServer):
        async def review_output(self, item: Any, thread: Any, context: Any) -> Any:
            return item.model_copy(update={"id": "msg_other", "thread_id": "thr_other"})

    server = RenamingServer(streamed)
    result = await server.create()
    await drain(result)
    assert {item.thread_id for item in await server.items(result.thread_id)} == {result.thread_id}
    assert "msg_other" not in {item.id for item in await server.items(result.thread_id)}


async def test_without_hooks_nothing_is_held_back() -> None:
    server = ScriptedServer(streamed)
    events = await answer(await server.create())
    assert {"thread.item.added", "thread.item.updated"} <= set(shown(events))


def test_texts_of_a_message_are_its_words() -> None:
    item = UserMessageItem.model_validate(
        {
            "id": "msg_1",
            "content": [
                {"type": "input_text", "text": "a"},
                {"type": "input_tag", "id": "b0", "text": "b", "data": {"c0": ["c", 1]}, "group": "g"},
            ],
            "quoted_text": "d",
            "attachments": [{"type": "file", "id": "f", "name": "e.txt", "mime_type": "text/plain"}],
        }
    )
    assert sorted(texts_of(item)) == ["a", "b", "c", "d", "e.txt"]
    assert map_texts(item, lambda text: text) is item


def test_texts_of_a_form_are_those_that_are_shown_in_it() -> None:
    form = {
        "type": "Form",
        "children": [
            {"type": "Input", "name": "n", "defaultValue": "a"},
            {"type": "Textarea", "name": "t", "defaultValue": "b"},
            {"type": "RadioGroup", "name": "r", "ariaLabel": "c", "defaultValue": "sent back"},
        ],
    }
    item = WidgetItem.model_validate({"id": "w", "widget": {"type": "Card", "children": [form]}})
    assert texts_of(item) == ["a", "b", "c"]
    assert "sent back" in map_texts(item, str.upper).model_dump_json()


async def test_hooks_may_be_attributes_of_an_object() -> None:
    """What is set on a server must not be passed over."""
    server = ScriptedServer(streamed)

    async def redact_input(params: Any, context: Any) -> Any:
        return map_texts(params, masked)

    async def redact_output(item: Any, thread: Any, context: Any) -> Any:
        return map_texts(item, masked)

    server.review_input, server.review_output = redact_input, redact_output  # type: ignore[method-assign]
    events = await answer(await server.create(SECRET))
    assert SECRET not in str(events) + everything(server.store)


def test_as_many_texts_are_put_back_as_there_are() -> None:
    item = message("a")
    assert texts_of(with_texts(item, ["b"])) == ["b"]
    assert texts_of(item) == ["a"]
    for wrong in ([], ["b", "c"]):
        with pytest.raises(ValueError, match="has 1 texts"):
            with_texts(item, wrong)


def test_citations_stay_within_a_text_that_got_shorter() -> None:
    item = message(f"It says {SECRET}")
    source = URLSource(title=f"About {SECRET}", url="https://example.com")
    item.content[0].annotations = [Annotation(source=source, index=index) for index in (2, 17, None)]
    changed = map_texts(item, lambda text: text.replace(SECRET, "-"))
    assert [entry.index for entry in changed.content[0].annotations] == [2, 9, None]
    assert changed.content[0].annotations[0].source.title == "About -"
