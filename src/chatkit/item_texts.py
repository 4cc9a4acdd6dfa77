"""What a model is told of items of a thread in words, whatever framework runs it."""

from __future__ import annotations

from typing import Final

from chatkit.types import (
    AssistantMessageItem,
    CustomTask,
    StructuredInput,
    StructuredInputItem,
    Task,
    UserMessageItem,
    UserMessageTagContent,
    WidgetItem,
)

__all__ = [
    "GENERATED_IMAGE",
    "answer_text",
    "answers_text",
    "hidden_text",
    "message_text",
    "quote_text",
    "task_text",
    "widget_text",
]

GENERATED_IMAGE: Final = "The assistant generated this image."
"""Stands before the image."""


def message_text(item: UserMessageItem) -> tuple[str, list[UserMessageTagContent]]:
    """Returns what the user wrote, with an ``@`` before each name, and what is mentioned in it, each thing once."""
    words: list[str] = []
    tags: dict[str, UserMessageTagContent] = {}
    for part in item.content:
        if isinstance(part, UserMessageTagContent):
            words.append(f"@{part.text}")
            tags.setdefault(part.id, part)
        else:
            words.append(part.text)
    return "".join(words), list(tags.values())


def quote_text(quoted: str) -> str:
    """Returns what stands for a quote in a user's message."""
    return f"The user quotes this, and means it:\n{quoted}"


def answer_text(item: AssistantMessageItem) -> str:
    """Returns the text of an answer, ``""`` where there is none."""
    return "\n".join(part.text for part in item.content if part.text)


def hidden_text(context: str) -> str:
    """Returns what stands for a text that the user does not see."""
    return f"Context for you, which the user does not see:\n<context>\n{context}\n</context>"


def widget_text(item: WidgetItem) -> str:
    """Returns a widget as the JSON that the page got."""
    shown = item.widget.model_dump_json(exclude_none=True)
    return f"The user was shown this widget (id: {item.id}): {shown}"


def task_text(task: Task) -> str | None:
    """Returns what was done, for tasks of the application's own; None for others, and for empty ones."""
    if not isinstance(task, CustomTask) or not (task.title or task.content):
        return None
    done = ": ".join(part for part in (task.title, task.content) if part)
    return f"The user was shown that this was done:\n<task>\n{done}\n</task>"


def answers_text(item: StructuredInputItem) -> str:
    """Returns the questions with their answers, one a line."""
    return "\n".join(f"- {question.question}: {_answer(question)}" for question in item.inputs)


def _answer(question: StructuredInput) -> str:
    answer = question.answer
    if answer is None:
        return "not answered"
    return "skipped" if answer.skipped else ", ".join(answer.values)
