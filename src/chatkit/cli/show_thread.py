"""A thread as ``chatkit admin show`` prints it: what is said is indented, so that it cannot look like anything else."""

from __future__ import annotations

import json

from chatkit.admin import OpenedThread
from chatkit.cli.tables import cell, moment, plain_line, print_json, say
from chatkit.item_texts import answer_text, answers_text, message_text
from chatkit.types import AssistantMessageItem, StructuredInputItem, ThreadItem, UserMessageItem

__all__ = ["print_thread"]


async def print_thread(opened: OpenedThread, *, as_json: bool) -> None:
    """Prints a thread and its items, one after another.

    Args:
        opened: The thread.
        as_json: Whether to print JSON lines: the thread, then each item.
    """
    thread = opened.thread
    if as_json:
        print_json([{"owner": opened.owner, "thread": json.loads(thread.model_dump_json())}])
        async for item in opened.items():
            print_json([json.loads(item.model_dump_json())])
        return
    say(f"thread {cell(thread.id)} of {cell(opened.owner)}, made {moment(thread.created_at)}")
    say(f"title: {plain_line(thread.title or '-')}")
    async for item in opened.items():
        say("")
        say(f"{moment(item.created_at)} {item.type} {cell(item.id)}")
        for line in _text(item).splitlines():
            say(f"    {plain_line(line)}")


def _text(item: ThreadItem) -> str:
    match item:
        case UserMessageItem():
            files = [f"[{attachment.mime_type} {attachment.name}]" for attachment in item.attachments]
            quoted = [f"> {item.quoted_text}"] if item.quoted_text else []
            return "\n".join([*quoted, message_text(item)[0], *files])
        case AssistantMessageItem():
            return answer_text(item)
        case StructuredInputItem():
            return answers_text(item)
        case _:
            fields = item.model_dump(
                mode="json", exclude={"id", "type", "thread_id", "created_at"}, exclude_none=True
            )
            return json.dumps(fields)
