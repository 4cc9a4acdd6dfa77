"""Random conversations of several owners: the store always holds what a plain model says."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chatkit.errors import (
    ConflictError,
    InvalidRequestError,
    MalformedRequestError,
    NotFoundError,
    ThreadClosedError,
    ThreadLockedError,
    TurnNotFoundError,
)
from chatkit.server import StreamingResult
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from tests.stateful.application import Application
from tests.stateful.model import Item, Owner, Thread, essence
from tests.stateful.plain_store import PlainFiles, PlainStore
from tests.support.postgres import on_server
from tests.support.scale import examples, scaled

T = TypeVar("T")

BOUND = scaled(20)
"""Seconds for one request."""
VERBS = [
    *("say", "hide", "widget", "tool", "ask", "title", "lock", "close", "leave", "fail", "crash", "hold"),
    *("replace", "remove", "nothing"),
]
# JSON texts may hold anything but lone surrogates.
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
commands = st.one_of(
    # More often, what makes a thread worth acting on.
    st.builds("{} {}".format, st.sampled_from(["say", "widget", "tool", "ask", "hide"]), words),
    st.builds("{} {}".format, st.sampled_from(VERBS), words),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)


class Conversations(RuleBasedStateMachine):
    """One run: requests go through `process()`, the same changes are made to the model.

    Attributes:
        owners: The model.
    """

    names: ClassVar[list[str]] = ["ada", "bob"]
    keeps_attachments: ClassVar[bool] = True
    """Whether the store has records of attachments; else their ids say all."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.files = PlainFiles()
        self.store: Any = self.open_store()
        self.server = self.make_server()
        self.owners = {name: Owner() for name in self.names}
        self.deleted_files: list[str] = []
        self.feedback: list[tuple[str, list[str], str]] = []
        self.keys = 0

    def open_store(self) -> Any:
        raise NotImplementedError

    def make_server(self) -> Application:
        server = Application(self.store, file_store=self.files)
        server.feedback = []
        return server

    def teardown(self) -> None:
        self.run(self.server.close())
        self.loop.close()

    # Requests.

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(BOUND):
                return await work

        return self.loop.run(bounded())

    def body(self, kind: str, metadata: dict[str, Any] | None = None, /, **params: Any) -> bytes:
        return json.dumps({"type": kind, "params": params, "metadata": metadata or {}}).encode()

    def ask(self, owner: str, kind: str, /, **params: Any) -> dict[str, Any]:
        result = self.run(self.server.process(self.body(kind, **params), {"user_id": owner}))
        assert not isinstance(result, StreamingResult)
        assert b"hidden_context" not in result.json
        return json.loads(result.json)

    def refused(self, error: type[Exception], owner: str, kind: str, /, **params: Any) -> None:
        """The request raises; that it changed nothing is the invariant's to see."""
        with pytest.raises(error):
            self.run(self.server.process(self.body(kind, **params), {"user_id": owner}))

    def converse(
        self, owner: str, kind: str, *, stop: str = "", metadata: dict[str, Any] | None = None, **params: Any
    ) -> list[dict[str, Any]]:
        """Returns the events of a stream.

        Args:
            owner: Who asks.
            kind: Type of the request.
            stop: Text of a held answer: when it is there, the reader leaves or, if resumable, stops the turn.
            metadata: Metadata of the request.
            params: Its parameters.
        """
        return self.run(self._converse(owner, self.body(kind, metadata, **params), stop))

    async def _converse(self, owner: str, body: bytes, stop: str) -> list[dict[str, Any]]:
        context = {"user_id": owner}
        result = await self.server.process(body, context)
        assert isinstance(result, StreamingResult)
        events: list[dict[str, Any]] = []
        text = ""
        async for frame in result:
            assert b"hidden_context" not in frame
            fields = dict(line.split(b": ", 1) for line in frame.strip().split(b"\n"))
            data = json.loads(fields[b"data"])
            if fields.get(b"event") == b"turn.end":
                assert data["status"] == (
                    "stopped" if stop else "completed" if "error" not in _kinds(events) else "failed"
                )
                continue
            assert (b"id" in fields) == result.resumable
            events.append(data)
            text += data.get("update", {}).get("delta", "")
            if stop and text == stop:
                if not result.resumable:
                    await result.aclose()
                    break
                stopping = self.body("turns.stop", thread_id=result.thread_id, turn_id=result.turn_id)
                answer = await self.server.process(stopping, context)
                assert not isinstance(answer, StreamingResult)
                assert json.loads(answer.json) == {"stopped": [result.turn_id]}
                text = ""
        return events

    def learn(self, events: list[dict[str, Any]], new: list[Item], *, left: bool = False) -> None:
        """Compares the items that a stream ended with, and takes over their ids.

        Args:
            events: The stream's events, without the user's message.
            new: The items that the model expects.
            left: Whether the reader left before the end: then it only knows what was added.
        """
        final: dict[str, dict[str, Any]] = {}
        for event in events:
            if event["type"] in {"thread.item.done", "thread.item.replaced"}:
                final[event["item"]["id"]] = event["item"]
            elif event["type"] == "thread.item.removed":
                final.pop(event["item_id"], None)
            elif event["type"] == "thread.item.added" and left:
                final[event["item"]["id"]] = event["item"]
        visible = [item for item in new if item.visible]
        assert len(final) == len(visible)
        for item, (item_id, told) in zip(visible, final.items(), strict=True):
            assert item.id in {None, item_id}
            item.id = item_id
            if not left:
                assert essence(told) == (item.kind, item.value)

    # What a rule acts on.

    def pick_owner(self, data: st.DataObject, having: Callable[[Owner], Any]) -> tuple[str, Owner]:
        name = data.draw(st.sampled_from([name for name, owner in self.owners.items() if having(owner)]))
        return name, self.owners[name]

    def pick_thread(self, data: st.DataObject) -> tuple[str, Thread]:
        name, owner = self.pick_owner(data, lambda owner: owner.threads)
        return name, data.draw(st.sampled_from(list(owner.threads.values())), label="thread")

    def pick_item(self, data: st.DataObject, *kinds: str) -> tuple[str, Thread, Item | None]:
        """Draws an item, more often one of the kinds; None if no thread has a visible one."""
        name, thread = self.pick_thread(data)
        wanted = [item for item in thread.visible if item.kind in kinds]
        if wanted and data.draw(st.integers(0, 3)):
            return name, thread, data.draw(st.sampled_from(wanted), label="item")
        return (
            name,
            thread,
            data.draw(st.sampled_from(thread.visible), label="item") if thread.visible else None,
        )

    def any_thread(self) -> bool:
        return any(owner.threads for owner in self.owners.values())

    def input(self, text: str, attachments: list[str]) -> dict[str, Any]:
        content = [{"type": "input_text", "text": text}]
        return {"content": content, "attachments": attachments, "inference_options": {}}

    # Messages.

    @initialize(command=commands)
    def begin(self, command: str) -> None:
        self.create(self.names[0], command, [], resumable=False)

    def create(
        self, owner: str, text: str, attachments: list[str], *, resumable: bool, key: str | None = None
    ) -> Thread:
        events = self.send(
            owner, text, "threads.create", resumable=resumable, key=key, input=self.input(text, attachments)
        )
        created, told, options, *rest = events
        assert _kinds(events)[:3] == ["thread.created", "thread.item.done", "stream_options"]
        assert options["stream_options"] == {"allow_cancel": True}
        thread = Thread(created["thread"]["id"])
        assert thread.id not in self.owners[owner].threads
        self.owners[owner].threads[thread.id] = thread
        self.receive(
            owner, thread, text, attachments, told, rest, left=text.startswith("hold ") and not resumable
        )
        return thread

    def send(
        self, owner: str, text: str, kind: str, *, resumable: bool, key: str | None = None, **params: Any
    ) -> list[dict[str, Any]]:
        metadata: dict[str, Any] = {"resumable": True} if resumable else {}
        if key is not None:
            metadata["idempotency_key"] = key
        stop = f"You said {text[5:]}" if text.startswith("hold ") else ""
        return self.converse(owner, kind, stop=stop, metadata=metadata, **params)

    def receive(
        self,
        owner: str,
        thread: Thread,
        text: str,
        attachments: list[str],
        told: dict[str, Any],
        rest: list[dict[str, Any]],
        *,
        left: bool,
    ) -> None:
        message = Item("user_message", (text, attachments), told["item"]["id"])
        assert essence(told["item"]) == (message.kind, message.value)
        thread.items.append(message)
        for attachment in attachments:
            self.owners[owner].attachments[attachment] = thread.id
        self.learn(rest, thread.answer(text), left=left)
        assert ("error" in _kinds(rest)) == text.startswith(("fail ", "crash "))

    @rule(data=st.data(), command=commands, resumable=st.booleans())
    def create_thread(self, data: st.DataObject, command: str, resumable: bool) -> None:
        name, owner = self.pick_owner(data, lambda owner: True)
        attachments = (
            data.draw(st.lists(st.sampled_from(list(owner.attachments)), max_size=2, unique=True))
            if (owner.attachments)
            else []
        )
        self.create(name, command, attachments, resumable=resumable)

    @precondition(any_thread)
    @rule(data=st.data(), command=commands, resumable=st.booleans())
    def add_message(self, data: st.DataObject, command: str, resumable: bool) -> None:
        name, thread = self.pick_thread(data)
        attachments = [key for key in self.owners[name].attachments if data.draw(st.booleans())]
        given = self.input(command, attachments)
        if thread.status != "active":
            error = ThreadLockedError if thread.status == "locked" else ThreadClosedError
            self.refused(error, name, "threads.add_user_message", thread_id=thread.id, input=given)
            return
        events = self.send(
            name, command, "threads.add_user_message", resumable=resumable, thread_id=thread.id, input=given
        )
        told, _, *rest = events
        assert _kinds(events)[:2] == ["thread.item.done", "stream_options"]
        left = command.startswith("hold ") and not resumable
        self.receive(name, thread, command, attachments, told, rest, left=left)

    @precondition(any_thread)
    @rule(data=st.data(), resumable=st.booleans())
    def retry(self, data: st.DataObject, resumable: bool) -> None:
        name, thread, item = self.pick_item(data, "user_message")
        if item is None:
            return
        params = {"thread_id": thread.id, "item_id": item.id}
        if item.kind != "user_message":
            self.refused(InvalidRequestError, name, "threads.retry_after_item", **params)
        elif thread.status != "active":
            self.refused(ConflictError, name, "threads.retry_after_item", **params)
        else:
            text = item.value[0]
            events = self.send(name, text, "threads.retry_after_item", resumable=resumable, **params)
            assert _kinds(events)[0] == "stream_options"
            del thread.items[thread.items.index(item) + 1 :]
            self.learn(events, thread.answer(text), left=text.startswith("hold ") and not resumable)

    @rule(data=st.data(), word=words)
    def send_twice(self, data: st.DataObject, word: str) -> None:
        name, _ = self.pick_owner(data, lambda owner: True)
        self.keys += 1
        key, text = f"key {self.keys}", f"say {word}"
        thread = self.create(name, text, [], resumable=False, key=key)
        again = self.send(name, text, "threads.create", resumable=False, key=key, input=self.input(text, []))
        assert again[0]["thread"]["id"] == thread.id
        assert [event["item"]["id"] for event in again if event["type"] == "thread.item.done"] == [
            item.id for item in thread.items
        ]
        other = self.body("threads.create", {"idempotency_key": key}, input=self.input("say other", []))
        with pytest.raises(InvalidRequestError):
            self.run(self.server.process(other, {"user_id": name}))
        for stranger in set(self.names) - {name}:
            self.create(stranger, text, [], resumable=False, key=key)

    # Going on.

    @precondition(any_thread)
    @rule(data=st.data(), result=json_values)
    def add_tool_output(self, data: st.DataObject, result: Any) -> None:
        waiting = [
            (name, thread)
            for name, owner in self.owners.items()
            for thread in owner.threads.values()
            if thread.pending_tool_call()
        ]
        name, thread = data.draw(st.sampled_from(waiting)) if waiting else self.pick_thread(data)
        call = thread.pending_tool_call()
        params = {"thread_id": thread.id, "result": result}
        if call is None:
            self.refused(ConflictError, name, "threads.add_client_tool_output", **params)
            return
        events = self.converse(name, "threads.add_client_tool_output", **params)
        thread.answer_call(call, result)
        self.learn(events, thread.go_on())

    @precondition(any_thread)
    @rule(data=st.data(), word=words, how=st.sampled_from(["answer", "skip one", "skip all"]))
    def answer_questions(self, data: st.DataObject, word: str, how: str) -> None:
        name, thread, item = self.pick_item(data, "structured_input")
        if item is None:
            return
        given: dict[str, Any] = {"status": "answered", "answers": {"q": {"values": [word], "skipped": False}}}
        if how == "skip one":
            given["answers"] = {"q": {"values": [], "skipped": True}}
        elif how == "skip all":
            given = {"status": "skipped", "answers": {}}
        params = {"thread_id": thread.id, "item_id": item.id, "input": given}
        if item.kind != "structured_input":
            self.refused(InvalidRequestError, name, "threads.add_structured_input", **params)
        elif item.value[0] != "pending":
            self.refused(ConflictError, name, "threads.add_structured_input", **params)
        else:
            events = self.converse(name, "threads.add_structured_input", **params)
            answer = ([word], False) if how == "answer" else ([], True)
            item.value = (given["status"], answer)
            self.learn(events, [item, *thread.go_on()])

    @precondition(any_thread)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["unlock", "reply", "relabel", "remove", "unknown"]),
        word=words,
        from_page=st.booleans(),
    )
    def act(self, data: st.DataObject, kind: str, word: str, from_page: bool) -> None:
        name, thread, item = self.pick_item(data, "widget")
        sender = None if from_page else item
        params = self.action(thread, sender, kind, word)
        if sender is not None and sender.kind != "widget":
            self.refused(InvalidRequestError, name, "threads.custom_action", **params)
            return
        events = self.converse(name, "threads.custom_action", **params)
        assert _kinds(events)[0] == "stream_options"
        new: list[Item] = []
        if kind == "unlock":
            thread.status = "active"
        elif kind == "reply":
            new = [Item("assistant_message", f"You said {word}")]
            thread.items += new
        elif kind == "relabel" and sender is not None:
            sender.value = word
            new = [sender]
        elif kind == "remove" and sender is not None:
            thread.items.remove(sender)
            assert {"type": "thread.item.removed", "item_id": sender.id} in events
        self.learn(events, new)

    @precondition(any_thread)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["relabel", "retitle", "unknown"]),
        word=words,
        from_page=st.booleans(),
    )
    def act_at_once(self, data: st.DataObject, kind: str, word: str, from_page: bool) -> None:
        name, thread, item = self.pick_item(data, "widget")
        sender = None if from_page else item
        params = self.action(thread, sender, kind, word)
        if sender is not None and sender.kind != "widget":
            self.refused(InvalidRequestError, name, "threads.sync_custom_action", **params)
            return
        answer = self.ask(name, "threads.sync_custom_action", **params)
        if kind == "retitle":
            thread.title = word
        if kind == "relabel" and sender is not None:
            sender.value = word
            assert essence(answer["updated_item"]) == ("widget", word)
        else:
            assert answer == {}

    def action(self, thread: Thread, sender: Item | None, kind: str, payload: Any) -> dict[str, Any]:
        item_id = None if sender is None else sender.id
        return {"thread_id": thread.id, "item_id": item_id, "action": {"type": kind, "payload": payload}}

    # Threads and items.

    @precondition(any_thread)
    @rule(data=st.data(), title=words)
    def rename(self, data: st.DataObject, title: str) -> None:
        name, thread = self.pick_thread(data)
        answer = self.ask(name, "threads.update", thread_id=thread.id, title=title)
        thread.title = title
        assert (answer["id"], answer["title"]) == (thread.id, title)
        assert "metadata" not in answer or answer["metadata"] == {}

    @precondition(any_thread)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name, thread = self.pick_thread(data)
        assert self.ask(name, "threads.delete", thread_id=thread.id) == {}
        owner = self.owners[name]
        del owner.threads[thread.id]
        if self.keeps_attachments:
            named = [key for item in thread.items if item.kind == "user_message" for key in item.value[1]]
            recorded = [key for key, at in owner.attachments.items() if at == thread.id]
            # A file goes with the thread that named it last.
            self.deleted_files += [
                key
                for key in dict.fromkeys([*named, *recorded])
                if owner.attachments.get(key, thread.id) == thread.id
            ]
            owner.attachments = {key: at for key, at in owner.attachments.items() if at != thread.id}
        else:
            self.deleted_files += [
                key for item in thread.items if item.kind == "user_message" for key in item.value[1]
            ]

    @precondition(any_thread)
    @rule(data=st.data(), kind=st.sampled_from(["positive", "negative"]))
    def give_feedback(self, data: st.DataObject, kind: str) -> None:
        name, thread = self.pick_thread(data)
        ids = [item.id for item in thread.visible if data.draw(st.booleans())]
        assert self.ask(name, "items.feedback", thread_id=thread.id, item_ids=ids, kind=kind) == {}
        self.feedback.append((thread.id, [str(item_id) for item_id in ids], kind))

    @precondition(any_thread)
    @rule(data=st.data(), limit=st.integers(1, 4), order=st.sampled_from(["asc", "desc"]))
    def page_through_items(self, data: st.DataObject, limit: int, order: str) -> None:
        name, thread = self.pick_thread(data)
        view = self.ask(name, "threads.get_by_id", thread_id=thread.id)
        assert "active_turn" not in view
        assert (view.get("title"), view["status"]["type"]) == (thread.title, thread.status)
        oldest = [item for item in thread.items[:20] if item.visible]
        assert [item["id"] for item in view["items"]["data"]] == [item.id for item in oldest]
        seen = self.pages(name, "items.list", limit, order, thread_id=thread.id)
        expected = [(item.id, (item.kind, item.value)) for item in thread.visible]
        assert [(item["id"], essence(item)) for item in seen] == (
            expected if order == "asc" else expected[::-1]
        )

    @rule(data=st.data(), limit=st.integers(1, 4), order=st.sampled_from(["asc", "desc"]))
    def page_through_threads(self, data: st.DataObject, limit: int, order: str) -> None:
        name, owner = self.pick_owner(data, lambda owner: True)
        expected = [(thread.id, thread.title) for thread in owner.threads.values()]
        seen = self.pages(name, "threads.list", limit, order)
        assert [(thread["id"], thread.get("title")) for thread in seen] == (
            expected if order == "asc" else expected[::-1]
        )
        assert all(thread["items"]["data"] == [] for thread in seen)

    def pages(self, owner: str, kind: str, limit: int, order: str, **params: Any) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = self.ask(owner, kind, limit=limit, order=order, after=after, **params)
            assert len(page["data"]) <= limit
            seen += page["data"]
            if not page["has_more"]:
                return seen
            # An empty page that says "more" is a thing a page asks for again and again.
            assert page["data"]
            after = page["after"]

    # Attachments.

    @rule(data=st.data(), name=words, picture=st.booleans())
    def attach(self, data: st.DataObject, name: str, picture: bool) -> None:
        who, owner = self.pick_owner(data, lambda owner: True)
        mime_type = "image/png" if picture else "application/pdf"
        made = self.ask(who, "attachments.create", name=name, size=3, mime_type=mime_type)
        assert (made["name"], made["mime_type"]) == (name, mime_type)
        assert made["type"] == ("image" if picture else "file")
        assert made["upload_descriptor"]["method"] == "PUT"
        assert self.files.announced[-1] == made["id"]
        owner.attachments[made["id"]] = None

    @precondition(lambda self: any(owner.attachments for owner in self.owners.values()))
    @rule(data=st.data())
    def detach(self, data: st.DataObject) -> None:
        name, owner = self.pick_owner(data, lambda owner: owner.attachments)
        key = data.draw(st.sampled_from(list(owner.attachments)))
        assert self.ask(name, "attachments.delete", attachment_id=key) == {}
        self.deleted_files.append(key)
        if self.keeps_attachments:
            del owner.attachments[key]

    # What must not work.

    @rule(data=st.data())
    def use_ids_of_others(self, data: st.DataObject) -> None:
        """Asks for what does not exist, or belongs to somebody else, in every type of request."""
        name, _ = self.pick_owner(data, lambda owner: True)
        others = [owner for other, owner in self.owners.items() if other != name]
        threads = [thread for owner in others for thread in owner.threads.values()]
        thread = data.draw(st.sampled_from([*threads, Thread("thr_unknown")]), label="foreign thread")
        items = [item.id for item in thread.items if item.id is not None]
        item_id = data.draw(st.sampled_from([*items, "msg_unknown"]), label="foreign item")
        attachments = [key for owner in others for key in owner.attachments]
        attachment = data.draw(st.sampled_from([*attachments, "atc_unknown"]), label="foreign attachment")
        content, action = self.input("say no", []), {"type": "reply", "payload": "no"}
        there, answers = {"thread_id": thread.id}, {"status": "skipped", "answers": {}}
        requests: list[tuple[str, dict[str, Any]]] = [
            ("threads.create", {"input": self.input("say no", [attachment])}),
            ("threads.add_user_message", {**there, "input": content}),
            ("threads.retry_after_item", {**there, "item_id": item_id}),
            ("threads.add_client_tool_output", {**there, "result": 1}),
            ("threads.add_structured_input", {**there, "item_id": item_id, "input": answers}),
            ("threads.custom_action", {**there, "item_id": item_id, "action": action}),
            ("threads.custom_action", {**there, "item_id": None, "action": action}),
            ("threads.sync_custom_action", {**there, "item_id": item_id, "action": action}),
            ("threads.get_by_id", there),
            ("threads.list", {"after": thread.id}),
            ("items.list", there),
            ("items.feedback", {**there, "item_ids": [item_id], "kind": "positive"}),
            ("threads.update", {**there, "title": "mine"}),
            ("threads.delete", there),
            ("attachments.delete", {"attachment_id": attachment}),
            ("turns.stop", there),
            ("turns.resume", there),
        ]
        own = list(self.owners[name].threads.values())
        if own:
            mine = data.draw(st.sampled_from(own), label="own thread")
            here = {"thread_id": mine.id}
            requests += [
                ("threads.retry_after_item", {**here, "item_id": item_id}),
                ("threads.custom_action", {**here, "item_id": item_id, "action": action}),
                ("items.list", {**here, "after": item_id}),
                ("items.feedback", {**here, "item_ids": [item_id], "kind": "negative"}),
            ]
            if mine.status == "active":
                given = self.input("say no", [attachment])
                requests.append(("threads.add_user_message", {**here, "input": given}))
        for kind, params in requests:
            self.refused(NotFoundError, name, kind, **params)

    @precondition(any_thread)
    @rule(data=st.data())
    def use_items_of_another_thread(self, data: st.DataObject) -> None:
        name, thread, item = self.pick_item(data, "user_message", "widget")
        elsewhere = [other for other in self.owners[name].threads.values() if other is not thread]
        if item is None or not elsewhere:
            return
        here = {"thread_id": data.draw(st.sampled_from(elsewhere)).id}
        self.refused(NotFoundError, name, "threads.retry_after_item", **here, item_id=item.id)
        self.refused(NotFoundError, name, "items.list", **here, after=item.id)
        self.refused(NotFoundError, name, "items.feedback", **here, item_ids=[item.id], kind="positive")
        action = {"type": "relabel", "payload": "no"}
        self.refused(
            NotFoundError, name, "threads.sync_custom_action", **here, item_id=item.id, action=action
        )

    @precondition(any_thread)
    @rule(data=st.data())
    def ask_wrongly(self, data: st.DataObject) -> None:
        name, thread = self.pick_thread(data)
        self.refused(MalformedRequestError, name, "threads.rename", thread_id=thread.id)
        self.refused(InvalidRequestError, name, "threads.update", thread_id=thread.id)
        self.refused(InvalidRequestError, name, "items.list", thread_id=thread.id, limit=-1)
        self.refused(InvalidRequestError, name, "threads.add_user_message", thread_id=thread.id, input={})
        self.refused(TurnNotFoundError, name, "turns.resume", thread_id=thread.id, after="turn_unknown:3")
        assert self.ask(name, "turns.stop", thread_id=thread.id) == {"stopped": []}

    @rule()
    def restart(self) -> None:
        """Another server goes on with the same store."""
        feedback = self.server.feedback
        self.run(self.server.close())
        self.store = self.open_store()
        self.server = self.make_server()
        self.server.feedback = feedback

    # The comparison.

    @invariant()
    def the_store_holds_what_the_model_says(self) -> None:
        for name, owner in self.owners.items():
            stored = self.run(self.read_store(name))
            assert stored == [
                (
                    thread.id,
                    (thread.title, thread.status, thread.metadata),
                    [(item.kind, item.value) for item in thread.items],
                )
                for thread in owner.threads.values()
            ]
        assert self.files.deleted == self.deleted_files
        assert self.server.feedback == self.feedback

    async def read_store(self, name: str) -> list[tuple[str, Any, list[Any]]]:
        """Returns all that the store has of an owner, by the store's own methods."""
        context = {"user_id": name}
        found: list[tuple[str, Any, list[Any]]] = []
        for thread in (await self.store.load_threads(1000, None, "asc", context)).data:
            page = await self.store.load_thread_items(thread.id, None, 1000, "asc", context)
            found.append(self.read_thread(thread, page.data))
        known = self.owners[name].attachments
        assert {key: (await self.store.load_attachment(key, context)).thread_id for key in known} == known
        return found

    def read_thread(self, thread: Any, items: list[Any]) -> tuple[str, Any, list[Any]]:
        assert all(item.thread_id == thread.id for item in items)
        expected = next(
            owner.threads[thread.id] for owner in self.owners.values() if thread.id in owner.threads
        )
        for item, known in zip(items, expected.items, strict=False):
            # Hidden items are never told to a client, so the model learns their ids from nobody.
            assert known.id == item.id or not known.visible
        return (
            thread.id,
            (thread.title, thread.status.type, thread.metadata),
            [essence(item.model_dump(mode="json")) for item in items],
        )


def _kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


class InMemory(Conversations):
    """`MemoryStore`, which a restart must not empty."""

    def open_store(self) -> MemoryStore:
        return getattr(self, "store", None) or MemoryStore()


class OnSQLite(Conversations):
    """`SQLiteStore`, opened anew at each restart."""

    def open_store(self) -> SQLiteStore:
        if not hasattr(self, "folder"):
            self.folder = tempfile.mkdtemp()
        return SQLiteStore(Path(self.folder) / "chat.db")

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


class OnPostgres(Conversations):
    """`PostgresStore`, opened anew at each restart.

    Attributes:
        url: The database of all runs; each begins with a new schema.
    """

    url: ClassVar[str]

    def open_store(self) -> PostgresStore:
        if not hasattr(self, "store"):
            on_server(
                self.url, lambda connection: connection.execute("DROP SCHEMA IF EXISTS chatkit CASCADE")
            )
        return PostgresStore(self.url)


@pytest.fixture
def _postgres(postgres_database: str) -> None:
    OnPostgres.url = postgres_database


class Adapted(Conversations):
    """The reference's store of ten methods: it knows one owner, and has no place for attachments."""

    names: ClassVar[list[str]] = ["ada"]
    keeps_attachments: ClassVar[bool] = False

    def open_store(self) -> PlainStore:
        return getattr(self, "store", None) or PlainStore()

    async def read_store(self, name: str) -> list[tuple[str, Any, list[Any]]]:
        threads = reversed(await self.store.load_threads(1000))
        return [self.read_thread(thread, await self.store.load_thread_items(thread.id)) for thread in threads]


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("CHATKIT_SECRET", "for this test only, and long enough")
    # The application fails on purpose, many times.
    caplog.set_level(logging.CRITICAL, logger="chatkit.server")


def _case(machine: type[Conversations], count: int) -> Any:
    case = machine.TestCase
    case.settings = settings(
        max_examples=examples(count),
        stateful_step_count=40,
        deadline=None,
        # The same examples in every run where a failure must say something about the change.
        derandomize=bool(os.environ.get("CI")),
        # Explaining a failure takes longer than shrinking it.
        phases=set(Phase) - {Phase.explain},
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    # A run takes seconds; shrinking a failure may take the five minutes that hypothesis allows itself.
    return pytest.mark.timeout(360)(case)


TestMemoryStore = _case(InMemory, 40)
TestSQLiteStore = _case(OnSQLite, 15)
TestPostgresStore = pytest.mark.usefixtures("_postgres")(_case(OnPostgres, 10))
TestAdaptedStore = _case(Adapted, 25)
