"""Items of a thread as input for an agent."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias, TypeVar, cast

from agents import TResponseInputItem
from openai.types.responses import ResponseInputContentParam
from pydantic import BaseModel

from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    CustomTask,
    EndOfTurnItem,
    GeneratedImageItem,
    HiddenContextItem,
    SDKHiddenContextItem,
    StructuredInput,
    StructuredInputItem,
    TaskItem,
    ThreadItem,
    UserMessageItem,
    UserMessageTagContent,
    WidgetItem,
    WorkflowItem,
)

__all__ = ["ThreadItemConverter", "simple_to_agent_input"]

TValue = TypeVar("TValue")
TItem = TypeVar("TItem")

InputItems: TypeAlias = TResponseInputItem | list[TResponseInputItem] | None
ItemConversion: TypeAlias = Callable[[TItem], Any]
"""Sync or async; returns an input item, a list of them, or None, as dictionaries of the Responses API."""

_CONTENT_TYPES: Final = {"text": "input_text", "file": "input_file", "image": "input_image"}
"""Short spellings of the types of content."""

_MENTIONS: Final = (
    "What the user mentioned with '@' is described below. Call it by its own name, without the '@', which is only "
    "how it is typed."
)


class ThreadItemConverter:
    """Turns items of a thread into what an agent is given. Each kind of item has a method.

    Give functions of your own, sync or async, to the constructor, or override the methods in a subclass, which need
    not call ``super().__init__()``. Attachments and tags have no default: how the model gets at them is up to the
    application.

    Args:
        attachment_to_message_content: Returns a part of a user message.
        tag_to_message_content: Returns the part of a message that describes what was mentioned.
        generated_image_to_input: Returns input items, as all that follow.
        hidden_context_to_input: The same for context that the application keeps.
        sdk_hidden_context_to_input: The same for context that this package keeps.
        task_to_input: The same for single tasks, and those of workflows.
        structured_input_to_input: The same for questions and answers.
        workflow_to_input: The same for workflows.
        widget_to_input: The same for widgets.
        user_message_to_input: The same for what the user wrote; called with the item only.
        assistant_message_to_input: The same for answers.
        client_tool_call_to_input: The same for calls that the page carried out.
        end_of_turn_to_input: The same for the end of a turn.
    """

    def __init__(
        self,
        *,
        attachment_to_message_content: ItemConversion[Any] | None = None,
        tag_to_message_content: ItemConversion[UserMessageTagContent] | None = None,
        generated_image_to_input: ItemConversion[GeneratedImageItem] | None = None,
        hidden_context_to_input: ItemConversion[HiddenContextItem] | None = None,
        sdk_hidden_context_to_input: ItemConversion[SDKHiddenContextItem] | None = None,
        task_to_input: ItemConversion[TaskItem] | None = None,
        structured_input_to_input: ItemConversion[StructuredInputItem] | None = None,
        workflow_to_input: ItemConversion[WorkflowItem] | None = None,
        widget_to_input: ItemConversion[WidgetItem] | None = None,
        user_message_to_input: ItemConversion[UserMessageItem] | None = None,
        assistant_message_to_input: ItemConversion[AssistantMessageItem] | None = None,
        client_tool_call_to_input: ItemConversion[ClientToolCallItem] | None = None,
        end_of_turn_to_input: ItemConversion[EndOfTurnItem] | None = None,
    ) -> None:
        given: dict[str, ItemConversion[Any] | None] = {
            "attachment_to_message_content": attachment_to_message_content,
            "tag_to_message_content": tag_to_message_content,
            "generated_image_to_input": generated_image_to_input,
            "hidden_context_to_input": hidden_context_to_input,
            "sdk_hidden_context_to_input": sdk_hidden_context_to_input,
            "task_to_input": task_to_input,
            "structured_input_to_input": structured_input_to_input,
            "workflow_to_input": workflow_to_input,
            "widget_to_input": widget_to_input,
            "assistant_message_to_input": assistant_message_to_input,
            "client_tool_call_to_input": client_tool_call_to_input,
            "end_of_turn_to_input": end_of_turn_to_input,
        }
        for name, conversion in given.items():
            if conversion is not None:
                # In place of the method of that name.
                setattr(self, name, conversion)
        if user_message_to_input is not None:
            convert = user_message_to_input

            def convert_message(item: UserMessageItem, is_last_message: bool = True) -> Any:
                return convert(item)

            setattr(self, "user_message_to_input", convert_message)  # noqa: B010

    async def to_agent_input(
        self, thread_items: Iterable[ThreadItem] | ThreadItem | None
    ) -> list[TResponseInputItem]:
        """Returns the input for a run.

        Args:
            thread_items: One item, or several, oldest first; None is none.

        Raises:
            NotImplementedError: There is an attachment, a tag or hidden context that the application has to convert.
            TypeError: There is something else than an item.
        """
        if thread_items is None:
            return []
        # Models can be iterated over too: what comes out are their fields.
        items = [thread_items] if isinstance(thread_items, BaseModel) else list(thread_items)
        converted: list[TResponseInputItem] = []
        for item in items:
            made = await self._convert(item, is_last=item is items[-1])
            if isinstance(made, list):
                converted += made
            elif made is not None:
                converted.append(made)
        return converted

    async def _convert(self, item: ThreadItem, *, is_last: bool) -> InputItems:
        match item:
            case UserMessageItem():
                return await _settled(self.user_message_to_input(item, is_last))
            case AssistantMessageItem():
                return await _settled(self.assistant_message_to_input(item))
            case ClientToolCallItem():
                return await _settled(self.client_tool_call_to_input(item))
            case WidgetItem():
                return await _settled(self.widget_to_input(item))
            case GeneratedImageItem():
                return await _settled(self.generated_image_to_input(item))
            case StructuredInputItem():
                return await _settled(self.structured_input_to_input(item))
            case WorkflowItem():
                return await _settled(self.workflow_to_input(item))
            case TaskItem():
                return await _settled(self.task_to_input(item))
            case HiddenContextItem():
                return await _settled(self.hidden_context_to_input(item))
            case SDKHiddenContextItem():
                return await _settled(self.sdk_hidden_context_to_input(item))
            case EndOfTurnItem():
                return await _settled(self.end_of_turn_to_input(item))
            case _:  # pyright: ignore[reportUnnecessaryComparison] -- of callers that no checker looks at
                name = type(cast("object", item)).__name__
                raise TypeError(
                    f"Input is made of items of a thread, not of a {name}: of a page give its data."
                )

    # One method per kind.

    async def attachment_to_message_content(self, attachment: Attachment) -> ResponseInputContentParam:
        """Returns the attachment as a part of the user's message.

        Raises:
            NotImplementedError: Not overridden.
        """
        raise NotImplementedError(
            f"The message has the attachment {attachment.id}. Give attachment_to_message_content= to "
            "ThreadItemConverter, or override it, to say how the model gets the file."
        )

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputContentParam:
        """Returns what the model is to know of something that the user mentioned.

        Raises:
            NotImplementedError: Not overridden.
        """
        raise NotImplementedError(
            f"The message mentions {tag.text!r}. Give tag_to_message_content= to ThreadItemConverter, or override "
            "it, to say what the model is to know of it."
        )

    async def generated_image_to_input(self, item: GeneratedImageItem) -> InputItems:
        """Returns the image; nothing where there is none."""
        if item.image is None or not item.image.url:
            return None
        return _message(
            {"type": "input_text", "text": "The assistant generated this image."},
            {"type": "input_image", "detail": "auto", "image_url": item.image.url},
        )

    async def hidden_context_to_input(self, item: HiddenContextItem) -> InputItems:
        """Returns the application's context, if it is a text.

        Raises:
            NotImplementedError: It is no text.
        """
        if not isinstance(item.content, str):
            raise NotImplementedError(
                f"The hidden context {item.id} is no text. Give hidden_context_to_input= to ThreadItemConverter, or "
                "override it, to say what of it the model is to know."
            )
        return _hidden(item.content)

    async def sdk_hidden_context_to_input(self, item: SDKHiddenContextItem) -> InputItems:
        """Returns the context that this package keeps."""
        return _hidden(item.content)

    async def task_to_input(self, item: TaskItem) -> InputItems:
        """Returns what was done, for tasks of the application's own; nothing for others."""
        return _task(item)

    async def structured_input_to_input(self, item: StructuredInputItem) -> InputItems:
        """Returns the questions with their answers."""
        lines = "\n".join(f"- {question.question}: {_answer(question)}" for question in item.inputs)
        return _message(
            _text(
                f"The user was asked questions (status: {item.status}):\n<questions>\n{lines}\n</questions>"
            )
        )

    async def workflow_to_input(self, item: WorkflowItem) -> InputItems:
        """Returns what was done, task by task."""
        converted: list[TResponseInputItem] = []
        for task in item.workflow.tasks:
            single = TaskItem(id=item.id, thread_id=item.thread_id, created_at=item.created_at, task=task)
            made: InputItems = await _settled(self.task_to_input(single))
            if isinstance(made, list):
                converted += made
            elif made is not None:
                converted.append(made)
        return converted

    async def widget_to_input(self, item: WidgetItem) -> InputItems:
        """Returns the widget as the JSON that the page got."""
        shown = item.widget.model_dump_json(exclude_none=True)
        return _message(_text(f"The user was shown this widget (id: {item.id}): {shown}"))

    async def user_message_to_input(self, item: UserMessageItem, is_last_message: bool = True) -> InputItems:
        """Returns the message with its attachments; then what it quotes, then what it mentions.

        Args:
            item: The message.
            is_last_message: Whether it is the newest item. What older messages quoted is left out.
        """
        words: list[str] = []
        tags: dict[str, UserMessageTagContent] = {}
        for part in item.content:
            if isinstance(part, UserMessageTagContent):
                words.append(f"@{part.text}")
                tags.setdefault(part.id, part)
            else:
                words.append(part.text)
        attachments = [
            await _content(self.attachment_to_message_content(attachment)) for attachment in item.attachments
        ]
        converted = [_message(_text("".join(words)), *attachments)]
        if item.quoted_text and is_last_message:
            converted.append(_message(_text(f"The user quotes this, and means it:\n{item.quoted_text}")))
        if tags:
            mentioned = [await _content(self.tag_to_message_content(tag)) for tag in tags.values()]
            converted.append(_message(_text(_MENTIONS), *mentioned))
        return converted

    async def assistant_message_to_input(self, item: AssistantMessageItem) -> InputItems:
        """Returns the answer's text; nothing where there is none."""
        text = "\n".join(part.text for part in item.content if part.text)
        if not text:
            return None
        # A plain string: parts of an output would need an id that the API knows, and without one the SDK cannot
        # give them to models behind Chat Completions.
        return {"type": "message", "role": "assistant", "content": text}

    async def client_tool_call_to_input(self, item: ClientToolCallItem) -> InputItems:
        """Returns the call and its output; nothing while there is no output."""
        if item.status == "pending":
            return None
        call = {
            "type": "function_call",
            "call_id": item.call_id,
            "name": item.name,
            "arguments": json.dumps(item.arguments),
        }
        output = {
            "type": "function_call_output",
            "call_id": item.call_id,
            "output": json.dumps(item.output),
        }
        return cast("list[TResponseInputItem]", [call, output])

    async def end_of_turn_to_input(self, item: EndOfTurnItem) -> InputItems:
        """Returns nothing."""
        return None


async def _settled(result: Awaitable[TValue] | TValue) -> Any:
    # Functions given to the constructor, and overrides, may be sync.
    return await result if inspect.isawaitable(result) else result


async def _content(result: Any) -> dict[str, Any]:
    part = cast("dict[str, Any]", await _settled(result))
    kind = _CONTENT_TYPES.get(part.get("type", ""))
    return part if kind is None else part | {"type": kind}


def _text(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def _message(*content: dict[str, Any]) -> TResponseInputItem:
    return cast("TResponseInputItem", {"type": "message", "role": "user", "content": [*content]})


def _hidden(text: str) -> TResponseInputItem:
    return _message(_text(f"Context for you, which the user does not see:\n<context>\n{text}\n</context>"))


def _task(item: TaskItem) -> TResponseInputItem | None:
    task = item.task
    if not isinstance(task, CustomTask) or not (task.title or task.content):
        return None
    done = ": ".join(part for part in (task.title, task.content) if part)
    return _message(_text(f"The user was shown that this was done:\n<task>\n{done}\n</task>"))


def _answer(question: StructuredInput) -> str:
    answer = question.answer
    if answer is None:
        return "not answered"
    return "skipped" if answer.skipped else ", ".join(answer.values)


_DEFAULT_CONVERTER = ThreadItemConverter()


async def simple_to_agent_input(
    thread_items: Iterable[ThreadItem] | ThreadItem | None,
) -> list[TResponseInputItem]:
    """Returns items of a thread as input for a run, by the defaults of :class:`ThreadItemConverter`.

    Args:
        thread_items: One item, or several, oldest first; None is none.
    """
    return await _DEFAULT_CONVERTER.to_agent_input(thread_items)
