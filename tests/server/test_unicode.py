"""Text that some database or UTF-8 itself cannot hold: shown, stored, and never the reason why an answer is lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkit._unicode import well_formed
from chatkit.errors import CustomStreamError, NotFoundError
from chatkit.sse import SSEDecoder
from chatkit.types import (
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientEffectEvent,
    ClientToolCallItem,
    CustomSummary,
    CustomTask,
    EntitySource,
    ErrorEvent,
    GeneratedImage,
    GeneratedImageItem,
    HiddenContextItem,
    LockedStatus,
    NoticeEvent,
    ProgressUpdateEvent,
    SearchTask,
    StructuredInputFreeform,
    StructuredInputItem,
    SyncCustomActionResponse,
    TaskItem,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    URLSource,
    WidgetItem,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
)
from chatkit.widgets import Card, Text
from tests.server.support import ADA, ScriptedServer, drain, kinds

BROKEN = "a\ud800b\udc00"
SHOWN = "a\ufffdb\ufffd"
WITH_NUL = "a\0b"

pytestmark = pytest.mark.filterwarnings(
    "error", "ignore:Classes of single components are deprecated:DeprecationWarning"
)


def items(text: str) -> list[Any]:
    """Returns an item of each kind with the text wherever there may be one."""
    source = EntitySource(id="e", title=text, data={text: [text]}, description=text)
    link = URLSource(title=text, url="https://example.com", attribution=text)
    tasks = [
        CustomTask(title=text, content=text),
        ThoughtTask(title=text, content=text),
        SearchTask(title=text, queries=[text], sources=[link]),
    ]
    return [
        AssistantMessageItem(
            id="message",
            content=[AssistantMessageContent(text=text, annotations=[Annotation(source=source, index=1)])],
        ),
        WidgetItem(id="widget", widget=Card(children=[Text(value=text)]), copy_text=text),
        WorkflowItem(
            id="workflow", workflow=Workflow(type="custom", tasks=tasks, summary=CustomSummary(title=text))
        ),
        TaskItem(id="task", task=tasks[0]),
        StructuredInputItem(
            id="form", inputs=[StructuredInputFreeform(id="q", question=text, description=text)]
        ),
        GeneratedImageItem(id="image", image=GeneratedImage(id="i", url=f"data:{text}")),
        HiddenContextItem(id="hidden", content={text: text}),
        ClientToolCallItem(id="call", call_id="c", name=text, arguments={text: [text, {text: text}]}),
    ]


async def events(result: Any) -> list[Any]:
    """Reads a stream to its end; returns its events, without the end itself."""
    frames = SSEDecoder().feed(b"".join(await drain(result)))
    return [json.loads(frame.data) for frame in frames if not frame.event]


def text_of(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize(("text", "kept"), [(BROKEN, SHOWN), (WITH_NUL, WITH_NUL)])
@pytest.mark.parametrize("resumable", [False, True])
async def test_finished_items_of_all_kinds(text: str, kept: str, resumable: bool, store: Any) -> None:
    given = items(text)

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        for item in given:
            if item.type not in {"client_tool_call", "hidden_context_item"}:
                yield ThreadItemAddedEvent(item=item)
            yield ThreadItemDoneEvent(item=item)
        yield ThreadItemReplacedEvent(item=given[1].model_copy(update={"copy_text": f"{text}!"}))

    server = ScriptedServer(script, store)
    result = await server.create(metadata={"resumable": True} if resumable else None)
    told = await events(result)
    assert "error" not in kinds(told)
    assert [event["item"]["id"] for event in told if event["type"] == "thread.item.done"][1:] == [
        item.id for item in given if item.type != "hidden_context_item"
    ]
    stored = await server.items(result.thread_id)
    assert [item.id for item in stored][1:] == [item.id for item in given]
    expected = [item.model_dump(exclude={"thread_id", "created_at"}) for item in items(kept)]
    expected[1]["copy_text"] = f"{kept}!"
    assert [item.model_dump(exclude={"thread_id", "created_at"}) for item in stored[1:]] == expected
    # What the handler made is its own.
    assert given[0].content[0].text == text
    page = await server.ask("items.list", thread_id=result.thread_id, order="asc", limit=100)
    assert text_of(page).count(json.dumps(kept, ensure_ascii=False)[1:-1]) >= 10


async def test_deltas_and_what_was_accumulated(store: Any) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield ThreadItemAddedEvent(item=AssistantMessageItem(id="m", content=[]))
        yield ThreadItemUpdatedEvent(
            item_id="m",
            update=AssistantMessageContentPartAdded(
                content_index=0, content=AssistantMessageContent(text=BROKEN)
            ),
        )
        for delta in ("c\ud83d", "\ude00d", BROKEN):
            yield ThreadItemUpdatedEvent(
                item_id="m", update=AssistantMessageContentPartTextDelta(content_index=0, delta=delta)
            )
        yield ThreadItemDoneEvent(id="m")
        workflow = WorkflowItem(id="w", workflow=Workflow(type="custom", tasks=[]))
        yield ThreadItemAddedEvent(item=workflow)
        yield ThreadItemUpdatedEvent(
            item_id="w", update=WorkflowTaskAdded(task_index=0, task=ThoughtTask(content=BROKEN))
        )
        # Left pending: the turn closes it.

    server = ScriptedServer(script, store)
    result = await server.create(metadata={"resumable": True})
    told = await events(result)
    assert "error" not in kinds(told)
    deltas = [event["update"]["delta"] for event in told if "delta" in event.get("update", {})]
    assert deltas == ["c\ufffd", "\ufffdd", SHOWN]
    stored = await server.items(result.thread_id)
    assert stored[1].content[0].text == f"{SHOWN}c\U0001f600d{SHOWN}"
    assert stored[2].workflow.tasks[0].content == SHOWN


async def test_the_thread(store: Any) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        thread.title = BROKEN
        thread.metadata = {BROKEN: [BROKEN], "nul": WITH_NUL}
        thread.allowed_image_domains = [BROKEN]
        thread.status = LockedStatus(reason=BROKEN)
        yield ProgressUpdateEvent(text=BROKEN)

    server = ScriptedServer(script, store)
    result = await server.create()
    told = await events(result)
    assert "error" not in kinds(told)
    thread = await store.load_thread(result.thread_id, ADA)
    assert (thread.title, thread.metadata) == (SHOWN, {SHOWN: [SHOWN], "nul": WITH_NUL})
    assert (thread.allowed_image_domains, thread.status.reason) == ([SHOWN], SHOWN)
    await server.ask("threads.update", thread_id=result.thread_id, title=WITH_NUL)
    assert (await server.ask("threads.list"))["data"][0]["title"] == WITH_NUL


@pytest.mark.parametrize("fails", [False, True])
async def test_events_that_are_not_stored(fails: bool, store: Any) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield ClientEffectEvent(name=BROKEN, data={BROKEN: BROKEN})
        yield NoticeEvent(level="info", message=BROKEN, title=BROKEN)
        yield ProgressUpdateEvent(text=BROKEN)
        if fails:
            raise CustomStreamError(BROKEN)
        yield ErrorEvent(message=BROKEN, code=BROKEN)

    told = await events(await ScriptedServer(script, store).create())
    assert kinds(told)[-4:] == ["client_effect", "notice", "progress_update", "error"]
    assert all(SHOWN in text_of(event) for event in told[-4:])
    assert told[-1]["message"] == SHOWN


async def test_what_a_request_holds(store: Any) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield ProgressUpdateEvent(text="Thinking")

    server = ScriptedServer(script, store)
    for text, kept in ((BROKEN, SHOWN), (WITH_NUL, WITH_NUL)):
        tag = {"type": "input_tag", "id": text, "text": text, "data": {text: text}}
        given = {
            "content": [{"type": "input_text", "text": text}, tag],
            "quoted_text": text,
            "inference_options": {"model": text},
        }
        body = json.dumps({"type": "threads.create", "params": {"input": given}})
        result = await server.process(body, ADA)
        assert "error" not in kinds(await events(result))
        (message,) = await server.items(result.thread_id)  # type: ignore[union-attr]
        assert [part.text for part in message.content] == [kept, kept]
        assert (message.content[1].data, message.quoted_text) == ({kept: kept}, kept)
        assert message.inference_options.model == kept


async def test_a_sync_actions_answer() -> None:
    class Server(ScriptedServer):
        async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
            return SyncCustomActionResponse(updated_item=items(BROKEN)[1])

    server = Server()
    thread_id = await server.new_thread()
    answer = await server.ask("threads.sync_custom_action", thread_id=thread_id, action={"type": "press"})
    assert answer["updated_item"]["copy_text"] == SHOWN


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("threads.get_by_id", {"thread_id": "\0"}),
        ("threads.list", {"after": "\0"}),
        ("items.list", {"thread_id": "THREAD", "after": "\0"}),
        ("threads.retry_after_item", {"thread_id": "THREAD", "item_id": "\0"}),
        ("attachments.delete", {"attachment_id": "\0"}),
        ("turns.resume", {"thread_id": "\0"}),
    ],
)
async def test_an_id_with_nul_names_nothing(kind: str, params: dict[str, str], store: Any) -> None:
    server = ScriptedServer(store=store)
    thread_id = await server.new_thread()
    given = {name: thread_id if value == "THREAD" else value for name, value in params.items()}
    with pytest.raises(NotFoundError):
        await server.send(kind, **given)


async def test_shipped_stores_take_what_is_given_to_them_directly(store: Any) -> None:
    server = ScriptedServer(store=store)
    await drain(await server.create())
    thread = (await store.load_threads(1, None, "desc", ADA)).data[0]
    await store.save_thread(thread.model_copy(update={"title": BROKEN}), ADA)
    assert (await store.load_thread(thread.id, ADA)).title == SHOWN
    item = items(BROKEN)[0].model_copy(update={"thread_id": thread.id})
    await store.add_thread_item(thread.id, item, ADA)
    assert (await store.load_item(thread.id, item.id, ADA)).content[0].text == SHOWN


def test_only_what_is_broken_is_copied() -> None:
    good = {"a": ["b", ("c", 1)], "model": items("x")[0]}
    assert well_formed(good) is good
    mended = well_formed({"good": good, BROKEN: (BROKEN, 1, None)})
    assert mended == {"good": good, SHOWN: [SHOWN, 1, None]}
    assert mended["good"] is good
