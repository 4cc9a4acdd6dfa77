"""Items of a thread as input: every kind, by default and by the application's own conversions."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import pytest

from chatkit.agents import ThreadItemConverter, simple_to_agent_input
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
    Page,
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

TAG = UserMessageTagContent(id="acme_1", text="Acme", data={}, group="company")
FILE = FileAttachment(id="atc_1", name="a.pdf", mime_type="application/pdf")
ANSWER = StructuredInputAnswer(values=["a", "b"])
TASKS: list[Any] = [CustomTask(title="one"), ThoughtTask(content="x"), CustomTask(content="two")]


def said(*content: Any, **rest: Any) -> UserMessageItem:
    parts = [UserMessageTextContent(text=part) if isinstance(part, str) else part for part in content]
    return UserMessageItem(id="msg_1", content=parts, **rest)


def user(*content: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(content)}


def texts(items: Any) -> list[str]:
    return [part.get("text", part["type"]) for item in items for part in item["content"]]


async def test_items_come_in_any_order_that_can_be_walked_and_nothing_else_does() -> None:
    items = [said("Hi"), said("there")]
    expected = ["there", "Hi"]
    assert texts(await simple_to_agent_input(reversed(items))) == expected
    assert texts(await simple_to_agent_input(item for item in items[::-1])) == expected
    page: Any = Page[Any](data=items, has_more=False, after=None)
    wrong: list[Any] = [page, [page], "Hi"]
    for given in wrong:
        with pytest.raises(TypeError, match="of a page give its data"):
            await simple_to_agent_input(given)


async def test_one_item_a_list_or_none() -> None:
    expected = [user({"type": "input_text", "text": "Hi there"})]
    assert await simple_to_agent_input(said("Hi ", "there")) == expected
    assert await simple_to_agent_input([said("Hi there")]) == expected
    assert await simple_to_agent_input((said("Hi there"),)) == expected
    assert await simple_to_agent_input(None) == []
    assert await simple_to_agent_input([]) == []


async def test_answers_and_calls() -> None:
    answer = AssistantMessageItem(
        id="msg_2", content=[AssistantMessageContent(text=text) for text in ("Yes", "", "I do")]
    )
    expected = {"type": "message", "role": "assistant", "content": "Yes\nI do"}
    assert await simple_to_agent_input(answer) == [expected]
    assert await simple_to_agent_input(answer.model_copy(update={"content": []})) == []
    call = ClientToolCallItem(id="tc_1", call_id="call_1", name="n", arguments={"a": 1})
    assert await simple_to_agent_input(call) == []
    done = call.model_copy(update={"status": "completed", "output": {"b": 2}})
    assert await simple_to_agent_input(done) == [
        {"type": "function_call", "call_id": "call_1", "name": "n", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "call_1", "output": '{"b": 2}'},
    ]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (WidgetItem(id="i", widget=Card(children=[Text(value="hi")])), ['"value":"hi"']),
        (GeneratedImageItem(id="i", image=GeneratedImage(id="g", url="https://x")), ["image", "input_image"]),
        (GeneratedImageItem(id="i"), []),
        (TaskItem(id="i", task=CustomTask(title="T", content="C")), ["T: C"]),
        (TaskItem(id="i", task=CustomTask()), []),
        (TaskItem(id="i", task=SearchTask(title="T")), []),
        (WorkflowItem(id="i", workflow=Workflow(type="custom", tasks=TASKS)), ["one", "two"]),
        (
            StructuredInputItem(
                id="i", inputs=[StructuredInputFreeform(id="q", question="Why?", answer=ANSWER)]
            ),
            ["- Why?: a, b"],
        ),
        (HiddenContextItem(id="i", content="secret"), ["secret"]),
        (SDKHiddenContextItem(id="i", content="stopped"), ["stopped"]),
        (EndOfTurnItem(id="i"), []),
    ],
    ids=lambda value: getattr(value, "type", None),
)
async def test_every_kind_has_a_default(item: ThreadItem, words: list[str]) -> None:
    made = texts(await simple_to_agent_input(item))
    assert len(made) == len(words)
    assert all(word in text for word, text in zip(words, made, strict=True))


async def test_quotes_count_in_the_newest_item_only() -> None:
    quoted = said("Hi", quoted_text="a quotation")
    assert len(await simple_to_agent_input([said("x"), quoted])) == 3
    assert len(await simple_to_agent_input([quoted, said("x")])) == 2


async def test_what_has_no_default_says_what_to_do() -> None:
    for item, name in (
        (said("a", attachments=[FILE]), "attachment_to_message_content"),
        (said(TAG), "tag_to_message_content"),
        (HiddenContextItem(id="i", content={"a": 1}), "hidden_context_to_input"),
    ):
        with pytest.raises(NotImplementedError, match=name):
            await simple_to_agent_input(item)


async def tag_text(tag: UserMessageTagContent) -> Any:
    return {"type": "text", "text": f"[{tag.entity_type}/{tag.entity_id}]"}


class Overriding(ThreadItemConverter):
    def __init__(self) -> None:
        self.mine = True

    async def attachment_to_message_content(self, attachment: Any) -> Any:
        return {"type": "file", "file_id": attachment.file_id}

    async def tag_to_message_content(self, tag: Any) -> Any:
        return await tag_text(tag)


GIVEN = ThreadItemConverter(
    attachment_to_message_content=lambda att: {"type": "file", "file_id": att.file_id},
    tag_to_message_content=tag_text,
)


@pytest.mark.parametrize("converter", [Overriding(), GIVEN], ids=["overridden", "given"])
async def test_conversions_of_the_application(converter: ThreadItemConverter) -> None:
    message, mentioned = await converter.to_agent_input(said("About ", TAG, " and ", TAG, attachments=[FILE]))
    assert message == user(
        {"type": "input_text", "text": "About @Acme and @Acme"}, {"type": "input_file", "file_id": "atc_1"}
    )
    assert texts([mentioned])[1:] == ["[company/acme_1]"]


def named(name: str, item: ThreadItem) -> Any:
    return user({"type": "input_text", "text": name})


async def test_every_conversion_can_be_given() -> None:
    names = [name for name in inspect.signature(ThreadItemConverter).parameters if name.endswith("_to_input")]
    given: Any = {name: partial(named, name) for name in names}
    items: list[ThreadItem] = [
        GeneratedImageItem(id="i"),
        HiddenContextItem(id="i", content={}),
        SDKHiddenContextItem(id="i", content=""),
        TaskItem(id="i", task=CustomTask()),
        StructuredInputItem(id="i", inputs=[]),
        WorkflowItem(id="i", workflow=Workflow(type="custom", tasks=[])),
        WidgetItem(id="i", widget=Card(children=[])),
        said("x"),
        AssistantMessageItem(id="i", content=[]),
        ClientToolCallItem(id="i", call_id="c", name="n", arguments={}),
        EndOfTurnItem(id="i"),
    ]
    assert texts(await ThreadItemConverter(**given).to_agent_input(items)) == names
