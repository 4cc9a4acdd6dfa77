"""A history with every kind of item as input for models over real HTTP, by both APIs."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from agents import Agent, Runner
from agents.models.chatcmpl_converter import Converter

from chatkit.agents import ThreadItemConverter
from chatkit.testing import scripted_model_app
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ClientToolCallItem,
    CustomTask,
    EndOfTurnItem,
    FileAttachment,
    GeneratedImage,
    GeneratedImageItem,
    HiddenContextItem,
    ImageAttachment,
    SDKHiddenContextItem,
    SearchTask,
    StructuredInputAnswer,
    StructuredInputFreeform,
    StructuredInputItem,
    TaskItem,
    ThoughtTask,
    ThreadItem,
    UserMessageItem,
    UserMessageTagContent,
    UserMessageTextContent,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import Card, Text
from tests.agents.support import QUIET, http_model

PIXEL = "data:image/png;base64,iVBORw0KGgo="
ANSWERED = StructuredInputAnswer(values=["green", "black"])
FILES = [
    FileAttachment(id="atc_1", name="leaves.pdf", mime_type="application/pdf"),
    ImageAttachment(id="atc_2", name="cup.png", mime_type="image/png", preview_url="https://x/cup.png"),
]
TAG = UserMessageTagContent(id="shop_1", text="Shop", data={"town": "Ely"}, group="shop")

HISTORY: list[ThreadItem] = [
    UserMessageItem(
        id="i1",
        content=[UserMessageTextContent(text="Where is "), TAG],
        attachments=FILES,
        quoted_text="quoted",
    ),
    AssistantMessageItem(id="message_2", content=[AssistantMessageContent(text="In town")]),
    AssistantMessageItem(id="i3", content=[]),
    ClientToolCallItem(
        id="i4", call_id="call_4", name="locate", arguments={"of": "shop"}, status="completed", output=[52.4]
    ),
    ClientToolCallItem(id="i5", call_id="call_5", name="empty", arguments={}, status="completed"),
    ClientToolCallItem(id="i6", call_id="call_6", name="waits", arguments={}),
    AssistantMessageItem(
        id="i7", content=[AssistantMessageContent(text=text) for text in ("One", "", "Two")]
    ),
    WidgetItem(id="i8", widget=Card(children=[Text(value="a widget")])),
    GeneratedImageItem(id="i9", image=GeneratedImage(id="g", url=PIXEL)),
    GeneratedImageItem(id="i10"),
    GeneratedImageItem(id="i11", image=GeneratedImage(id="g", url="")),
    WorkflowItem(
        id="i12",
        workflow=Workflow(
            type="custom", tasks=[CustomTask(title="Looked"), ThoughtTask(content="t"), SearchTask()]
        ),
    ),
    WorkflowItem(id="i13", workflow=Workflow(type="reasoning", tasks=[])),
    TaskItem(id="i14", task=CustomTask(title="Done", content="all")),
    TaskItem(id="i15", task=CustomTask()),
    HiddenContextItem(id="i16", content="hidden context"),
    SDKHiddenContextItem(id="i17", content="stopped by the user"),
    StructuredInputItem(
        id="i18", inputs=[StructuredInputFreeform(id="q", question="Which?", answer=ANSWERED)]
    ),
    EndOfTurnItem(id="i19"),
    UserMessageItem(id="i20", content=[UserMessageTextContent(text="And now?")], quoted_text="this line"),
]
CALLS = ["call_4", "call_5"]


def attachment(file: Any) -> dict[str, Any]:
    if file.type == "image":
        return {"type": "image", "image_url": str(file.preview_url)}
    return {"type": "file", "file_data": "data:application/pdf;base64,JVBERg==", "filename": file.name}


async def converted(items: list[ThreadItem]) -> list[Any]:
    converter = ThreadItemConverter(
        attachment_to_message_content=attachment,
        tag_to_message_content=lambda tag: {"type": "text", "text": f"{tag.text}: {tag.data}"},
    )
    return await converter.to_agent_input(items)


async def asked(api: str, items: list[ThreadItem]) -> dict[str, Any]:
    """Returns what the endpoint gets."""
    app = scripted_model_app(["Now we drink."])
    async with http_model(app, api) as model:
        result = Runner.run_streamed(
            Agent(name="Guide", model=model), await converted(items), run_config=QUIET
        )
        async for _ in result.stream_events():
            pass
    assert result.final_output == "Now we drink."
    (request,) = app.state.requests
    return request


def test_every_kind_of_item_is_in_the_history() -> None:
    kinds = {kind.model_fields["type"].default for kind in get_args(get_args(ThreadItem)[0])}
    assert {item.type for item in HISTORY} == kinds


async def test_the_responses_api() -> None:
    sent = (await asked("responses", HISTORY))["input"]
    assert [item["content"] for item in sent if item.get("role") == "assistant"] == ["In town", "One\nTwo"]
    assert [item["call_id"] for item in sent if item["type"] == "function_call"] == CALLS
    assert [item["output"] for item in sent if item["type"] == "function_call_output"] == ["[52.4]", "null"]
    parts = [part for item in sent if item.get("role") == "user" for part in item["content"]]
    # An id that the API does not know, or that is not of its form, would be refused.
    assert not any("id" in item for item in [*sent, *parts])
    assert {part["type"] for part in parts} == {"input_text", "input_image", "input_file"}
    assert sent[-1]["content"][0]["text"].endswith("this line")


async def test_chat_completions() -> None:
    messages = (await asked("chat", HISTORY))["messages"]
    answers = [message for message in messages if message["role"] == "assistant"]
    assert [message["content"] for message in answers if message.get("content")] == ["In town", "One\nTwo"]
    assert [call["id"] for message in answers for call in message.get("tool_calls", ())] == CALLS
    outputs = [message for message in messages if message["role"] == "tool"]
    assert [(message["tool_call_id"], message["content"]) for message in outputs] == [
        ("call_4", "[52.4]"),
        ("call_5", "null"),
    ]
    given = json.dumps([message["content"] for message in messages if message["role"] == "user"])
    for words in (
        "@Shop",
        "Ely",
        "leaves.pdf",
        "https://x/cup.png",
        "a widget",
        PIXEL,
        "Looked",
        "Done: all",
    ):
        assert words in given
    for words in ("hidden context", "stopped by the user", "Which?: green, black", "And now?", "this line"):
        assert words in given


@pytest.mark.parametrize("item", HISTORY, ids=lambda item: f"{item.id}-{item.type}")
async def test_each_item_alone_is_taken(item: ThreadItem) -> None:
    made = await converted([item])
    messages: list[Any] = list(Converter.items_to_messages(made))
    assert bool(messages) == bool(made)
    assert all(message.get("content") or message.get("tool_calls") for message in messages)
