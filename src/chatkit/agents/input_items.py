"""Items of a thread as input for an agent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, TypeVar, cast

from agents import TResponseInputItem
from openai.types.responses import ResponseInputContentParam
from pydantic import BaseModel

from chatkit._tasks import maybe_await
from chatkit.item_texts import (
    GENERATED_IMAGE,
    answer_text,
    answers_text,
    hidden_text,
    message_text,
    quote_text,
    task_text,
    widget_text,
)
from chatkit.server.tool_calls import answered_calls
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ClientToolCallItem,
    EndOfTurnItem,
    GeneratedImageItem,
    HiddenContextItem,
    SDKHiddenContextItem,
    StructuredInputItem,
    TaskItem,
    ThreadItem,
    UserMessageItem,
    UserMessageTagContent,
    WidgetItem,
    WorkflowItem,
)

__all__ = ["ThreadItemConverter", "simple_to_agent_input"]

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
    not call ``super().__init__()``. Attachments and tags have no default: the application decides how the model gets
    them.

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
        for name, conversion in list(locals().items()):
            # In place of the method of that name.
            if conversion is not None and name not in {"self", "user_message_to_input"}:
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
        # An item is iterable too, and yields its fields.
        items = [thread_items] if isinstance(thread_items, BaseModel) else list(thread_items)
        converted: list[TResponseInputItem] = []
        for item in items:
            converted += _listed(await self._convert(item, is_last=item is items[-1]))
        return converted

    async def _convert(self, item: ThreadItem, *, is_last: bool) -> InputItems:
        match item:
            case UserMessageItem():
                return await maybe_await(self.user_message_to_input(item, is_last))
            case AssistantMessageItem():
                return await maybe_await(self.assistant_message_to_input(item))
            case ClientToolCallItem():
                return await maybe_await(self.client_tool_call_to_input(item))
            case WidgetItem():
                return await maybe_await(self.widget_to_input(item))
            case GeneratedImageItem():
                return await maybe_await(self.generated_image_to_input(item))
            case StructuredInputItem():
                return await maybe_await(self.structured_input_to_input(item))
            case WorkflowItem():
                return await maybe_await(self.workflow_to_input(item))
            case TaskItem():
                return await maybe_await(self.task_to_input(item))
            case HiddenContextItem():
                return await maybe_await(self.hidden_context_to_input(item))
            case SDKHiddenContextItem():
                answered = answered_calls(item)
                if answered is not None:
                    return [
                        entry
                        for call in answered
                        for entry in _call(call.call_id, call.name, call.arguments, call.output)
                    ]
                return await maybe_await(self.sdk_hidden_context_to_input(item))
            case EndOfTurnItem():
                return await maybe_await(self.end_of_turn_to_input(item))
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
            _text(GENERATED_IMAGE),
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
        return _message(_text(hidden_text(item.content)))

    async def sdk_hidden_context_to_input(self, item: SDKHiddenContextItem) -> InputItems:
        """Returns the context that this package keeps."""
        return _message(_text(hidden_text(item.content)))

    async def task_to_input(self, item: TaskItem) -> InputItems:
        """Returns what was done, for tasks of the application's own; nothing for others."""
        done = task_text(item.task)
        return None if done is None else _message(_text(done))

    async def structured_input_to_input(self, item: StructuredInputItem) -> InputItems:
        """Returns the questions with their answers."""
        answers = f"<questions>\n{answers_text(item)}\n</questions>"
        return _message(_text(f"The user was asked questions (status: {item.status}):\n{answers}"))

    async def workflow_to_input(self, item: WorkflowItem) -> InputItems:
        """Returns what was done, task by task."""
        converted: list[TResponseInputItem] = []
        for task in item.workflow.tasks:
            single = TaskItem(id=item.id, thread_id=item.thread_id, created_at=item.created_at, task=task)
            converted += _listed(await maybe_await(self.task_to_input(single)))
        return converted

    async def widget_to_input(self, item: WidgetItem) -> InputItems:
        """Returns the widget as the JSON that the page got."""
        return _message(_text(widget_text(item)))

    async def user_message_to_input(self, item: UserMessageItem, is_last_message: bool = True) -> InputItems:
        """Returns the message with its attachments; then what it quotes, then what it mentions.

        Args:
            item: The message.
            is_last_message: Whether it is the newest item. What older messages quoted is left out.
        """
        text, tags = message_text(item)
        attachments = [
            await _content(self.attachment_to_message_content(attachment)) for attachment in item.attachments
        ]
        converted = [_message(_text(text), *attachments)]
        if item.quoted_text and is_last_message:
            converted.append(_message(_text(quote_text(item.quoted_text))))
        if tags:
            mentioned = [await _content(self.tag_to_message_content(tag)) for tag in tags]
            converted.append(_message(_text(_MENTIONS), *mentioned))
        return converted

    async def assistant_message_to_input(self, item: AssistantMessageItem) -> InputItems:
        """Returns the answer's text; nothing where there is none."""
        text = answer_text(item)
        if not text:
            return None
        # A plain string: parts of an output would need an id that the API knows, and without one the SDK cannot
        # give them to models with the Chat Completions API.
        return {"type": "message", "role": "assistant", "content": text}

    async def client_tool_call_to_input(self, item: ClientToolCallItem) -> InputItems:
        """Returns the call and its output; nothing while there is no output."""
        if item.status == "pending":
            return None
        return _call(item.call_id, item.name, json.dumps(item.arguments), json.dumps(item.output))

    async def end_of_turn_to_input(self, item: EndOfTurnItem) -> InputItems:
        """Returns nothing."""
        return None


def _listed(made: InputItems) -> list[TResponseInputItem]:
    return made if isinstance(made, list) else [] if made is None else [made]


def _call(call_id: str, name: str, arguments: str, output: str) -> list[TResponseInputItem]:
    call = {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
    answer = {"type": "function_call_output", "call_id": call_id, "output": output}
    return cast("list[TResponseInputItem]", [call, answer])


async def _content(result: Any) -> dict[str, Any]:
    part = cast("dict[str, Any]", await maybe_await(result))
    kind = _CONTENT_TYPES.get(part.get("type", ""))
    return part if kind is None else part | {"type": kind}


def _text(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def _message(*content: dict[str, Any]) -> TResponseInputItem:
    return cast("TResponseInputItem", {"type": "message", "role": "user", "content": [*content]})


_DEFAULT_CONVERTER = ThreadItemConverter()


async def simple_to_agent_input(
    thread_items: Iterable[ThreadItem] | ThreadItem | None,
) -> list[TResponseInputItem]:
    """Returns items of a thread as input for a run, by the defaults of :class:`ThreadItemConverter`.

    Args:
        thread_items: One item, or several, oldest first; None is none.
    """
    return await _DEFAULT_CONVERTER.to_agent_input(thread_items)
