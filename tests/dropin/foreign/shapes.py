"""Stores and servers as applications of ``openai-chatkit`` write them, breaking the rules of the base classes.

The same file runs on either package: ``python shapes.py`` plays what a page asks of each, and prints the answers.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import sys
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from chatkit.server import ChatKitServer
from chatkit.store import AttachmentStore, NotFoundError, Store
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    AttachmentUploadDescriptor,
    ClientToolCallItem,
    FileAttachment,
    Page,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    TranscriptionResult,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetRoot

TIME = re.compile(r'"created_at":\s*"[^"]*"')


class NoSuchRowError(Exception):
    """The application's own."""


class Rows:
    """What all stores below keep their things in, with ids that are the same in every run."""

    def __init__(self) -> None:
        self.threads: dict[str, Any] = {}
        self.items: dict[str, list[Any]] = {}
        self.attachments: dict[str, Any] = {}
        self.number = 0

    def next(self) -> int:
        self.number += 1
        return self.number

    def put(self, thread_id: str, item: Any) -> None:
        rows = self.items.setdefault(thread_id, [])
        copy = item.model_copy(deep=True)
        for place, row in enumerate(rows):
            if row.id == item.id:
                rows[place] = copy
                return
        rows.append(copy)

    def get(self, thread_id: str, item_id: str) -> Any:
        for row in self.items.get(thread_id, []):
            if row.id == item_id:
                return row.model_copy(deep=True)
        raise NotFoundError(item_id)

    def page(self, found: list[Any], after: Any, limit: int, order: str) -> Any:
        data = [row.model_copy(deep=True) for row in found]
        if order == "desc":
            data.reverse()
        ids = [row.id for row in data]
        start = ids.index(after) + 1 if after else 0
        shown = data[start : start + limit]
        more = len(data) > start + limit
        return Page(data=shown, has_more=more, after=shown[-1].id if more else None)


class Plain(Store[Any]):
    """Keeps to the rules; the others break one each."""

    def __init__(self) -> None:
        self.rows = Rows()

    def generate_thread_id(self, context: Any) -> str:
        return f"thr_{self.rows.next()}"

    def generate_item_id(self, item_type: Any, thread: Any, context: Any) -> str:
        return f"{item_type}_{self.rows.next()}"

    async def load_thread(self, thread_id: str, context: Any) -> Any:
        if thread_id not in self.rows.threads:
            raise NotFoundError(thread_id)
        return self.rows.threads[thread_id].model_copy(deep=True)

    async def save_thread(self, thread: Any, context: Any) -> None:
        self.rows.threads[thread.id] = thread.model_copy(deep=True)

    async def load_thread_items(
        self, thread_id: str, after: Any, limit: int, order: str, context: Any
    ) -> Any:
        return self.rows.page(self.rows.items.get(thread_id, []), after, limit, order)

    async def load_threads(self, limit: int, after: Any, order: str, context: Any) -> Any:
        return self.rows.page(list(self.rows.threads.values()), after, limit, order)

    async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        self.rows.put(thread_id, item)

    async def save_item(self, thread_id: str, item: Any, context: Any) -> None:
        self.rows.put(thread_id, item)

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> Any:
        return self.rows.get(thread_id, item_id)

    async def delete_thread(self, thread_id: str, context: Any) -> None:
        self.rows.threads.pop(thread_id, None)
        self.rows.items.pop(thread_id, None)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Any) -> None:
        rows = self.rows.items.get(thread_id, [])
        rows[:] = [row for row in rows if row.id != item_id]

    async def save_attachment(self, attachment: Any, context: Any) -> None:
        self.rows.attachments[attachment.id] = attachment.model_copy(deep=True)

    async def load_attachment(self, attachment_id: str, context: Any) -> Any:
        try:
            return self.rows.attachments[attachment_id]
        except KeyError:
            raise NotFoundError(attachment_id) from None

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        self.rows.attachments.pop(attachment_id, None)


class OtherOrder(Plain):
    """The parameters in an order of its own, where 1.6.5 names them."""

    async def load_threads(self, after: Any, limit: int, order: str, context: Any) -> Any:
        return await super().load_threads(limit, after, order, context)

    async def load_thread_items(  # type: ignore[override]
        self, thread_id: str, after: Any, limit: int, order: str, context: Any, deleted: bool = False
    ) -> Any:
        assert not deleted
        return await super().load_thread_items(thread_id, after, limit, order, context)


class OnlyKeywords(Plain):
    """Takes by keyword what 1.6.5 gives by keyword."""

    async def load_threads(self, *, context: Any, order: str, limit: int, after: Any = None) -> Any:
        return await super().load_threads(limit, after, order, context)

    async def load_thread(self, thread_id: str, *, context: Any) -> Any:
        return await super().load_thread(thread_id, context)

    async def save_thread(self, thread: Any, *, context: Any) -> None:
        await super().save_thread(thread, context)

    async def save_item(self, thread_id: str, item: Any, *, context: Any) -> None:
        await super().save_item(thread_id, item, context)

    async def add_thread_item(self, thread_id: str, item: Any, *, context: Any) -> None:
        await super().add_thread_item(thread_id, item, context)

    async def delete_thread(self, thread_id: str, *, context: Any) -> None:
        await super().delete_thread(thread_id, context)


class OwnNames(Plain):
    """Names of its own, where 1.6.5 gives by position."""

    async def load_item(self, thread: str, wanted: str, context: Any) -> Any:
        return await super().load_item(thread, wanted, context)

    async def load_attachment(self, file: str, ctx: Any) -> Any:
        return await super().load_attachment(file, ctx)

    async def add_thread_item(self, thread: str, new: Any, context: Any) -> None:
        await super().add_thread_item(thread, new, context)

    async def load_thread(self, wanted: str, context: Any, *, deep: bool = True) -> Any:
        return await super().load_thread(wanted, context)


class Arguments(Plain):
    """Passes everything on."""

    async def load_threads(self, **named: Any) -> Any:
        return await super().load_threads(**named)

    async def load_thread(self, *given: Any, **named: Any) -> Any:
        assert len(given) == 1
        return await super().load_thread(*given, **named)

    async def add_thread_item(self, *given: Any, **named: Any) -> None:
        assert len(given) == 2
        await super().add_thread_item(*given, **named)

    async def load_item(self, *given: Any, context: Any) -> Any:
        return await super().load_item(*given, context)


def of_no_class(*missing: str) -> Callable[[], Any]:
    """Returns a maker of stores that derive from nothing, without some methods."""
    kept = {
        name: value
        for name, value in {**vars(Plain)}.items()
        if callable(value) and name not in {"__init__", *missing}
    }

    def make() -> Any:
        store = type("OfNoClass", (), kept)()
        store.rows = Rows()
        return store

    return make


class RowIds(Plain):
    """A database makes the ids."""

    async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        item.id = f"ROW{self.rows.next()}"
        self.rows.put(thread_id, item)


class DictPages(Plain):
    """Gives what it has as JSON."""

    async def load_thread_items(
        self, thread_id: str, after: Any, limit: int, order: str, context: Any
    ) -> Any:
        page = await super().load_thread_items(thread_id, after, limit, order, context)
        rows = [{**json.loads(row.model_dump_json()), "colour": None, "shelf": 3} for row in page.data]
        return Page(data=rows, has_more=page.has_more, after=page.after)


class AllAtOnce(Plain):
    """Returns everything, whatever was asked for, oldest first."""

    async def load_thread_items(
        self, thread_id: str, after: Any, limit: int, order: str, context: Any
    ) -> Any:
        return Page(data=[row.model_copy(deep=True) for row in self.rows.items.get(thread_id, [])])

    async def load_threads(self, limit: int, after: Any, order: str, context: Any) -> Any:
        return Page(data=list(self.rows.threads.values()))


class NewestAtOnce(Plain):
    """Returns everything, newest first."""

    async def load_thread_items(
        self, thread_id: str, after: Any, limit: int, order: str, context: Any
    ) -> Any:
        return Page(data=[row.model_copy(deep=True) for row in reversed(self.rows.items.get(thread_id, []))])


class NoCursor(Plain):
    """Ignores the cursor, and says rightly of its only page that there is no more."""

    async def load_thread_items(
        self, thread_id: str, after: Any, limit: int, order: str, context: Any
    ) -> Any:
        page = await super().load_thread_items(thread_id, None, 1_000, order, context)
        return Page(data=page.data[: max(limit, 50)], has_more=False, after="nowhere")


class OnlyWidgetsById(Plain):
    """Loads only what it needs itself by id, as a store over another framework's sessions does."""

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> Any:
        item = await super().load_item(thread_id, item_id, context)
        if not isinstance(item, WidgetItem):
            raise NoSuchRowError(item_id)
        return item


class Sessions(Plain):
    """Shows the sessions of another framework, which keeps messages by itself, under ids of its own."""

    async def add_thread_item(self, thread_id: str, item: Any, context: Any) -> None:
        own = (
            item
            if item.type in {"client_tool_call", "widget"}
            else item.model_copy(update={"id": f"event_{item.id}"})
        )
        self.rows.put(thread_id, own)

    async def save_item(self, thread_id: str, item: Any, context: Any) -> None:
        if item.type in {"client_tool_call", "widget"}:
            self.rows.put(thread_id, item)

    async def load_thread_items(
        self, thread_id: str, after: Any, limit: int, order: str, context: Any
    ) -> Any:
        return Page(data=[row.model_copy(deep=True) for row in self.rows.items.get(thread_id, [])])

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> Any:
        for row in self.rows.items.get(thread_id, []):
            if row.id == item_id and row.type == "widget":
                return row
        raise ValueError(f"Item with id {item_id} not found in thread {thread_id}")

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Any) -> None:
        """The framework keeps what happened."""


class SameObjects(Plain):
    """Gives out the very objects that it keeps."""

    async def load_thread(self, thread_id: str, context: Any) -> Any:
        return self.rows.threads[thread_id]

    async def load_item(self, thread_id: str, item_id: str, context: Any) -> Any:
        return next(row for row in self.rows.items[thread_id] if row.id == item_id)

    async def load_thread_items(
        self, thread_id: str, after: Any, limit: int, order: str, context: Any
    ) -> Any:
        rows = list(self.rows.items.get(thread_id, []))
        return Page(data=rows[::-1][:limit] if order == "desc" else rows[:limit])


class NoAttachments(Plain):
    """Raises for attachments, as official samples do."""

    async def load_attachment(self, attachment_id: str, context: Any) -> Any:
        raise NotImplementedError

    async def save_attachment(self, attachment: Any, context: Any) -> None:
        pass


class Files(AttachmentStore[Any]):
    """Knows its files by itself."""

    def __init__(self) -> None:
        self.kept = {"atc_foreign"}

    async def create_attachment(self, input: Any, context: Any) -> Any:
        self.kept.add("atc_1")
        upload = AttachmentUploadDescriptor(url="https://files.example/1", method="PUT")
        return FileAttachment(
            id="atc_1", name=input.name, mime_type=input.mime_type, upload_descriptor=upload
        )

    async def delete_attachment(self, attachment_id: str, context: Any) -> None:
        self.kept.remove(attachment_id)


class KeywordFiles(Files):
    """Parameters of its own."""

    async def create_attachment(self, params: Any, ctx: Any) -> Any:
        return await super().create_attachment(params, ctx)

    async def delete_attachment(self, attachment_id: str, *, context: Any) -> None:
        await super().delete_attachment(attachment_id, context)


class Shop(ChatKitServer[Any]):
    """Answers with text, a call for the page, or a widget; what it hears is remembered."""

    def __init__(self, store: Any, files: Any) -> None:
        super().__init__(store, files)
        self.heard: list[Any] = []
        self.turns: dict[str, int] = {}

    async def respond(self, thread: Any, input: Any, context: Any) -> AsyncIterator[Any]:
        said = input.content[0].text if input else "output"
        self.heard.append([said, input.id if input else None])
        self.turns[said] = self.turns.get(said, 0) + 1
        new: dict[str, Any] = {"thread_id": thread.id, "created_at": datetime.now()}  # noqa: DTZ005
        answer = f"answer_{self.turns[said]}_to_{said}"
        if said == "tool":
            call = ClientToolCallItem(**new, id=answer, call_id="call", name="look", arguments={})
            yield ThreadItemDoneEvent(item=call)
        elif said == "widget":
            yield ThreadItemDoneEvent(
                item=WidgetItem(**new, id=answer, widget=DynamicWidgetRoot(type="Card", children=[]))
            )
        else:
            begun = AssistantMessageItem(**new, id=answer, content=[])
            yield ThreadItemAddedEvent(item=begun)
            part = AssistantMessageContent(text="", annotations=[])
            for update in (
                AssistantMessageContentPartAdded(content_index=0, content=part),
                AssistantMessageContentPartTextDelta(content_index=0, delta=f"You said {said}"),
            ):
                yield ThreadItemUpdatedEvent(item_id=answer, update=update)
            part = AssistantMessageContent(text=f"You said {said}", annotations=[])
            yield ThreadItemDoneEvent(item=begun.model_copy(update={"content": [part]}))

    async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
        self.heard.append([action.type, sender.id])
        yield ThreadItemReplacedEvent(item=sender.model_copy(update={"copy_text": action.type}))

    async def add_feedback(self, thread_id: str, item_ids: list[str], feedback: Any, context: Any) -> None:
        self.heard.append([thread_id, item_ids, feedback])

    async def transcribe(self, audio_input: Any, context: Any) -> Any:
        return TranscriptionResult(text=audio_input.data.decode())


class OwnParameters(Shop):
    """Other names and more parameters in what it overrides."""

    async def respond(  # type: ignore[override]
        self, conversation: Any, message: Any = None, ctx: Any = None, *, model: str = "small"
    ) -> AsyncIterator[Any]:
        assert model == "small"
        async for event in super().respond(conversation, message, ctx):
            yield event

    async def add_feedback(self, where: str, what: list[str], how: Any, ctx: Any, note: str = "") -> None:  # type: ignore[override]
        await super().add_feedback(where, what, how, ctx)

    async def transcribe(self, sound: Any, *, context: Any) -> Any:  # type: ignore[override]
        return await super().transcribe(sound, context)

    async def action(
        self, where: Any, what: Any, whence: Any, ctx: Any, extra: int = 1
    ) -> AsyncIterator[Any]:  # type: ignore[override]
        async for event in super().action(where, what, whence, ctx):
            yield event


SHAPES: dict[str, Callable[[], Shop]] = {
    "plain": lambda: Shop(Plain(), Files()),
    "parameters in another order": lambda: Shop(OtherOrder(), Files()),
    "only keywords": lambda: Shop(OnlyKeywords(), KeywordFiles()),
    "names of its own": lambda: Shop(OwnNames(), KeywordFiles()),
    "args and kwargs": lambda: Shop(Arguments(), Files()),
    "of no class": lambda: Shop(of_no_class()(), Files()),
    "of no class, three methods missing": lambda: Shop(
        of_no_class("load_item", "save_item", "delete_thread")(), Files()
    ),
    "of no class, hardly any methods": lambda: Shop(
        of_no_class(
            *(
                name
                for name in vars(Plain)
                if name.startswith(("delete_", "save_item", "load_item", "load_threads"))
            )
        )(),
        Files(),
    ),
    "ids made by the store": lambda: Shop(RowIds(), Files()),
    "dictionaries": lambda: Shop(DictPages(), Files()),
    "everything, oldest first": lambda: Shop(AllAtOnce(), Files()),
    "everything, newest first": lambda: Shop(NewestAtOnce(), Files()),
    "no cursor": lambda: Shop(NoCursor(), Files()),
    "load_item for widgets only": lambda: Shop(OnlyWidgetsById(), Files()),
    "sessions of another framework": lambda: Shop(Sessions(), Files()),
    "the same objects": lambda: Shop(SameObjects(), Files()),
    "no attachments": lambda: Shop(NoAttachments(), Files()),
    "a server with parameters of its own": lambda: OwnParameters(Plain(), Files()),
}


class Visit:
    """Asks a server, and keeps the answers by the name of the step."""

    def __init__(self, server: Shop) -> None:
        self.server = server
        self.answers: dict[str, Any] = {}

    async def ask(self, step: str, kind: str, /, **params: Any) -> Any:
        body = json.dumps({"type": kind, "params": params})
        events: list[Any] = []
        self.server.heard = []
        try:
            result: Any = await self.server.process(body, {"user_id": "ada"})
            if hasattr(result, "json_events"):
                async for frame in result:
                    # What came before it raised is kept.
                    events.append(self._read(frame.decode().removeprefix("data: ")))  # noqa: PERF401
                answer: Any = events
            else:
                answer = self._read(result.json.decode())
        except Exception as error:  # noqa: BLE001 -- that it raises is the answer
            answer = {"raised": type(error).__name__, "told": str(error), "before": events}
        self.answers[step] = {"answer": answer, "heard": self.server.heard}
        return answer

    def _read(self, text: str) -> Any:
        return json.loads(TIME.sub('"created_at":"<time>"', text))


def message(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"input": {"content": content, "attachments": [], "inference_options": {}}}


async def play(server: Shop) -> dict[str, Any]:
    """Returns the answers to all that a page asks."""
    visit = Visit(server)
    ask = visit.ask
    created = await ask("create", "threads.create", **message("Hi"))
    thread = {"thread_id": created[0]["thread"]["id"]}
    first = created[1]["item"]["id"] if len(created) > 1 else "none"
    last = created[-1].get("item", {}).get("id", "none")
    await ask("second thread", "threads.create", **message("Other"))
    await ask("feedback", "items.feedback", **thread, item_ids=[last], kind="positive")
    await ask("tool", "threads.add_user_message", **thread, **message("tool"))
    await ask("tool output", "threads.add_client_tool_output", **thread, result={"seen": 1})
    shown = await ask("widget", "threads.add_user_message", **thread, **message("widget"))
    widget = shown[-1].get("item", {}).get("id") if isinstance(shown, list) else None
    await ask("action", "threads.custom_action", **thread, item_id=widget, action={"type": "go"})
    await ask("thread", "threads.get_by_id", **thread)
    for order in ("asc", "desc"):
        await ask(f"items {order}", "items.list", **thread, limit=3, order=order)
        await ask(f"threads {order}", "threads.list", limit=1, order=order)
    page = visit.answers["items asc"]["answer"]
    if isinstance(page, dict) and page.get("after"):
        await ask("items after", "items.list", **thread, limit=3, order="asc", after=page["after"])
    page = visit.answers["threads asc"]["answer"]
    if isinstance(page, dict) and page.get("after"):
        await ask("threads after", "threads.list", limit=1, order="asc", after=page["after"])
    await ask("retry", "threads.retry_after_item", **thread, item_id=first)
    await ask("items after retry", "items.list", **thread, limit=50, order="asc")
    announced = {"name": "a.txt", "size": 3, "mime_type": "text/plain"}
    await ask("attachment", "attachments.create", **announced)
    sent = message("file")
    sent["input"]["attachments"] = ["atc_1"]
    await ask("message with attachment", "threads.add_user_message", **thread, **sent)
    await ask("delete attachment", "attachments.delete", attachment_id="atc_1")
    await ask("delete attachment of files only", "attachments.delete", attachment_id="atc_foreign")
    await ask("title", "threads.update", **thread, title="New")
    audio = base64.b64encode(b"words").decode()
    await ask("transcribe", "input.transcribe", audio_base64=audio, mime_type="audio/webm")
    await ask("delete", "threads.delete", **thread)
    await ask("threads at last", "threads.list", limit=10, order="asc")
    return visit.answers | {"files": {"answer": sorted(server.attachment_store.kept)}}


async def main() -> dict[str, Any]:
    """Returns the answers of every shape."""
    return {name: await play(make()) for name, make in SHAPES.items()}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.stdout.write(json.dumps(asyncio.run(main())))
