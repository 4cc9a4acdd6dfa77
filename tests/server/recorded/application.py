"""An application for ``openai-chatkit`` 1.6.5: the same source runs on that package and on this one.

Every message is the name of a handler below.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from chatkit.actions import Action
from chatkit.errors import CustomStreamError, ErrorCode, StreamError
from chatkit.server import ChatKitServer
from chatkit.types import (
    ActiveStatus,
    Annotation,
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientEffectEvent,
    ClientToolCallItem,
    ClosedStatus,
    CustomSummary,
    CustomTask,
    DurationSummary,
    EndOfTurnItem,
    EntitySource,
    ErrorEvent,
    FileSource,
    FileTask,
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    HiddenContextItem,
    ImageTask,
    LockedStatus,
    NoticeEvent,
    Page,
    ProgressUpdateEvent,
    SDKHiddenContextItem,
    SearchTask,
    StreamOptions,
    StreamOptionsEvent,
    StructuredInputFreeform,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    StructuredInputMultipleChoiceOption,
    SyncCustomActionResponse,
    TaskItem,
    ThoughtTask,
    Thread,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadUpdatedEvent,
    TranscriptionResult,
    URLSource,
    WidgetComponentUpdated,
    WidgetItem,
    WidgetRootUpdated,
    WidgetStreamingTextValueDelta,
    Workflow,
    WorkflowItem,
    WorkflowTaskAdded,
    WorkflowTaskUpdated,
)
from chatkit.widgets import Button, Card, Markdown, Text

NOON = datetime(2026, 1, 2, 12, 0, 0)  # noqa: DTZ001 -- what applications of 1.6.5 give
HANDLERS: dict[str, Callable[..., AsyncIterator[Any]]] = {}


def handler(function: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    HANDLERS[function.__name__] = function
    return function


class Application(ChatKitServer[dict[str, Any]]):
    """Does what the message says."""

    async def respond(self, thread: Any, input_user_message: Any, context: Any) -> AsyncIterator[Any]:
        name = "after_input" if input_user_message is None else input_user_message.content[0].text
        async for event in HANDLERS[name](self, thread, context):
            yield event

    async def action(
        self, thread: Any, action: Action[str, Any], sender: Any, context: Any
    ) -> AsyncIterator[Any]:
        yield ThreadItemDoneEvent(
            item=message(
                thread, "msg_action", f"{action.type} {action.payload} {sender.id if sender else None}"
            )
        )
        if sender is not None:
            yield ThreadItemReplacedEvent(
                item=sender.model_copy(update={"widget": Card(children=[Text(value="pressed")])})
            )

    async def sync_action(self, thread: Any, action: Any, sender: Any, context: Any) -> Any:
        if action.type == "nothing":
            return SyncCustomActionResponse()
        thread.title = "renamed by a sync action"
        return SyncCustomActionResponse(updated_item=sender)

    async def add_feedback(self, thread_id: str, item_ids: list[str], feedback: Any, context: Any) -> None:
        context["feedback"] = [thread_id, item_ids, feedback]

    async def transcribe(self, audio_input: Any, context: Any) -> Any:
        return TranscriptionResult(
            text=f"{len(audio_input.data)} {audio_input.mime_type} {audio_input.media_type}"
        )

    def get_stream_options(self, thread: Any, context: Any) -> Any:
        return StreamOptions(allow_cancel=context.get("allow_cancel", True))


def message(thread: Any, item_id: str, *texts: str) -> Any:
    return AssistantMessageItem(
        id=item_id,
        thread_id=thread.id,
        created_at=NOON,
        content=[AssistantMessageContent(text=text) for text in texts],
    )


def base(thread: Any, item_id: str) -> dict[str, Any]:
    return {"id": item_id, "thread_id": thread.id, "created_at": NOON}


@handler
async def hello(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(
        item=message(thread, f"msg_hello{len(server.store.items[thread.id])}", "Hello!")
    )


@handler
async def silence(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    for _ in ():
        yield _


@handler
async def after_input(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(
        item=message(thread, f"msg_after{len(server.store.items[thread.id])}", "Thank you.")
    )


@handler
async def text_stream(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemAddedEvent(item=message(thread, "msg_1"))

    def update(update: Any) -> Any:
        return ThreadItemUpdatedEvent(item_id="msg_1", update=update)

    yield update(AssistantMessageContentPartAdded(content_index=0, content=AssistantMessageContent(text="")))
    yield update(AssistantMessageContentPartTextDelta(content_index=0, delta='Héllo "\\ \n\t\x00\x7f\u2028 '))
    yield update(AssistantMessageContentPartTextDelta(content_index=0, delta="world \U0001f600"))
    annotations = [
        Annotation(source=URLSource(title="u", url="https://e.example", attribution="a"), index=3),
        Annotation(source=FileSource(title="f", filename="f.txt", description="d", timestamp="t", group="g")),
        Annotation(
            source=EntitySource(
                title="e",
                id="ent",
                icon="sparkle",
                label="l",
                inline_label="i",
                interactive=True,
                data={"k": "v"},
                preview="lazy",
            ),
            index=0,
        ),
    ]
    for index, annotation in enumerate(annotations):
        yield update(
            AssistantMessageContentPartAnnotationAdded(
                content_index=0, annotation_index=index, annotation=annotation
            )
        )
    final = AssistantMessageContent(text="Héllo world \U0001f600", annotations=annotations)
    yield update(AssistantMessageContentPartDone(content_index=0, content=final))
    yield update(
        AssistantMessageContentPartAdded(content_index=1, content=AssistantMessageContent(text="Second"))
    )
    yield ThreadItemDoneEvent(
        item=AssistantMessageItem(
            **base(thread, "msg_1"), content=[final, AssistantMessageContent(text="Second")]
        )
    )


@handler
async def side_events(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ProgressUpdateEvent(text="Thinking")
    yield ProgressUpdateEvent(text="Searching", icon="globe")
    yield ClientEffectEvent(name="open_dialog", data={"id": "settings", "n": [1, 2.5, None, True]})
    yield ClientEffectEvent(name="plain")
    yield NoticeEvent(level="info", message="Note")
    yield NoticeEvent(level="warning", message="**Careful**", title="T")
    yield NoticeEvent(level="danger", message="Stop")
    yield ErrorEvent(code=ErrorCode.STREAM_ERROR, message="m", allow_retry=True)
    yield ErrorEvent(message="custom")
    yield ErrorEvent()
    yield StreamOptionsEvent(stream_options=StreamOptions(allow_cancel=False))
    yield ThreadUpdatedEvent(thread=Thread(id=thread.id, created_at=NOON, title="sent by hand", items=Page()))


@handler
async def every_item(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    items: list[Any] = [
        message(thread, "msg_i1", "Text"),
        WidgetItem(
            **base(thread, "wid_i2"),
            widget=Card(
                children=[
                    Text(id="t", value="Hi"),
                    Button(label="Go", onClickAction={"type": "go", "payload": {"a": 1}}),
                ]
            ),  # pyright: ignore[reportArgumentType]
            copy_text="Hi",
        ),
        GeneratedImageItem(
            **base(thread, "img_i3"), image=GeneratedImage(id="g", url="data:image/png;base64,AA==")
        ),
        StructuredInputItem(
            **base(thread, "sin_i4"),
            inputs=[
                StructuredInputFreeform(id="f", question="Name?", description="yours"),
                StructuredInputMultipleChoice(
                    id="c",
                    question="Which?",
                    options=[StructuredInputMultipleChoiceOption(value="a")],
                    multiple=True,
                ),
            ],
        ),
        WorkflowItem(
            **base(thread, "wf_i5"),
            workflow=Workflow(
                type="reasoning",
                tasks=[
                    CustomTask(title="c", icon="bolt", content="x", status_indicator="complete"),
                    SearchTask(
                        title="s",
                        title_query="q",
                        queries=["q"],
                        sources=[URLSource(title="u", url="https://u")],
                    ),
                    ThoughtTask(title="t", content="hm"),
                    FileTask(title="f", sources=[FileSource(title="f", filename="n")]),
                    ImageTask(title="i", status_indicator="loading"),
                ],
                summary=DurationSummary(duration=3),
                expanded=True,
            ),
        ),
        WorkflowItem(
            **base(thread, "wf_i6"),
            workflow=Workflow(type="custom", tasks=[], summary=CustomSummary(title="S", icon="bolt")),
        ),
        TaskItem(**base(thread, "tsk_i7"), task=CustomTask(title="one")),
        HiddenContextItem(**base(thread, "hid_i8"), content={"secret": 1}),
        SDKHiddenContextItem(**base(thread, "shcx_i9"), content="secret"),
        ClientToolCallItem(
            **base(thread, "tc_i10"),
            status="completed",
            call_id="c1",
            name="n",
            arguments={"a": [1]},
            output={"o": None},
        ),
        EndOfTurnItem(**base(thread, "end_i11")),
    ]
    for item in items:
        yield ThreadItemAddedEvent(item=item)
        yield ThreadItemDoneEvent(item=item)


@handler
async def every_update(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    widget = WidgetItem(
        **base(thread, "wid_u1"),
        widget=Card(
            children=[Text(id="t", value="", streaming=True), Markdown(id="m", value="", streaming=True)]
        ),
    )
    yield ThreadItemAddedEvent(item=widget)

    def of(item_id: str, update: Any) -> Any:
        return ThreadItemUpdatedEvent(item_id=item_id, update=update)

    yield of("wid_u1", WidgetStreamingTextValueDelta(component_id="t", delta="He", done=False))
    yield of("wid_u1", WidgetStreamingTextValueDelta(component_id="t", delta="llo", done=True))
    yield of("wid_u1", WidgetComponentUpdated(component_id="m", component=Markdown(id="m", value="**x**")))
    root = Card(children=[Text(value="root")], size="sm")
    yield of("wid_u1", WidgetRootUpdated(widget=root))
    yield ThreadItemDoneEvent(item=widget.model_copy(update={"widget": root}))
    workflow = WorkflowItem(**base(thread, "wf_u2"), workflow=Workflow(type="custom", tasks=[]))
    yield ThreadItemAddedEvent(item=workflow)
    yield of("wf_u2", WorkflowTaskAdded(task_index=0, task=CustomTask(title="a", status_indicator="loading")))
    yield of(
        "wf_u2", WorkflowTaskUpdated(task_index=0, task=CustomTask(title="a", status_indicator="complete"))
    )
    yield ThreadItemDoneEvent(
        item=WorkflowItem(
            **base(thread, "wf_u2"),
            workflow=Workflow(type="custom", tasks=[CustomTask(title="a", status_indicator="complete")]),
        )
    )
    yield ThreadItemAddedEvent(item=GeneratedImageItem(**base(thread, "img_u3")))
    picture = GeneratedImage(id="g", url="https://i.example/1.png")
    yield of("img_u3", GeneratedImageUpdated(image=picture, progress=0.5))
    yield of("img_u3", GeneratedImageUpdated(image=picture))
    yield ThreadItemDoneEvent(item=GeneratedImageItem(**base(thread, "img_u3"), image=picture))
    yield of("msg_elsewhere", AssistantMessageContentPartTextDelta(content_index=0, delta="x"))


@handler
async def title_at_once(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    thread.title = "At once"
    yield ThreadItemDoneEvent(item=message(thread, "msg_t1", "one"))


@handler
async def title_later(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemAddedEvent(item=message(thread, "msg_t2"))
    thread.title = "Between"
    yield ProgressUpdateEvent(text="p")
    yield ThreadItemDoneEvent(item=message(thread, "msg_t2", "one"))
    thread.title = "At the end"


@handler
async def metadata_in_place(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(item=message(thread, "msg_m1", "one"))
    thread.metadata["response_id"] = "r1"
    yield ThreadItemDoneEvent(item=message(thread, "msg_m2", "two"))
    thread.metadata = {"response_id": "r2"}
    yield ThreadItemDoneEvent(item=message(thread, "msg_m3", "three"))
    thread.metadata["response_id"] = "r3"


@handler
async def status_and_domains(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    thread.status = LockedStatus(reason="wait")
    yield ProgressUpdateEvent(text="p")
    thread.status = ActiveStatus()
    yield ProgressUpdateEvent(text="q")
    thread.allowed_image_domains = ["i.example"]
    yield ThreadItemDoneEvent(item=message(thread, "msg_s1", "one"))
    thread.allowed_image_domains.append("j.example")
    yield ThreadItemDoneEvent(item=message(thread, "msg_s2", "two"))
    thread.status = ClosedStatus(reason="over")


@handler
async def same_title(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    thread.title = None
    thread.metadata = {}
    thread.status = ActiveStatus()
    yield ThreadItemDoneEvent(item=message(thread, "msg_st", "one"))


@handler
async def client_tool(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(
        item=ClientToolCallItem(
            **base(thread, "tc_1"), call_id="call", name="get_selection", arguments={"x": 1}
        )
    )


@handler
async def questions(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    options = [StructuredInputMultipleChoiceOption(value=value) for value in ("a", "b", "c")]
    yield ThreadItemDoneEvent(
        item=StructuredInputItem(
            **base(thread, "sin_1"),
            inputs=[
                StructuredInputFreeform(id="name", question="Name?"),
                StructuredInputMultipleChoice(id="one", question="One?", options=options),
                StructuredInputMultipleChoice(id="many", question="Many?", options=options, multiple=True),
            ],
        )
    )


@handler
async def widget(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemDoneEvent(
        item=WidgetItem(
            **base(thread, "wid_1"), widget=Card(children=[Text(value="press")]), copy_text="press"
        )
    )


@handler
async def replaced(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    item = WidgetItem(**base(thread, "wid_r"), widget=Card(children=[Text(value="before")]))
    yield ThreadItemDoneEvent(item=item)
    yield ThreadItemReplacedEvent(
        item=item.model_copy(update={"widget": Card(children=[Text(value="after")])})
    )


@handler
async def removed(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemAddedEvent(item=message(thread, "msg_r1"))
    yield ThreadItemRemovedEvent(item_id="msg_r1")
    yield ThreadItemDoneEvent(item=message(thread, "msg_r2", "two"))
    yield ThreadItemRemovedEvent(item_id="msg_r2")


@handler
async def stream_error(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ProgressUpdateEvent(text="p")
    raise StreamError(ErrorCode.STREAM_ERROR)


@handler
async def stream_error_without_retry(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ProgressUpdateEvent(text="p")
    raise StreamError(ErrorCode.STREAM_ERROR, allow_retry=False)


@handler
async def custom_error(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ProgressUpdateEvent(text="p")
    raise CustomStreamError("Too many cooks", allow_retry=True)


@handler
async def plain_error(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ProgressUpdateEvent(text="p")
    raise RuntimeError("secret internals")


@handler
async def error_after_partial(server: Any, thread: Any, context: Any) -> AsyncIterator[Any]:
    yield ThreadItemAddedEvent(item=message(thread, "msg_p", "partial"))
    raise RuntimeError("secret internals")
