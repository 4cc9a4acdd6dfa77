"""An application of ``agent-framework-chatkit``, as its README writes one, and what a page asks of it.

``python microsoft.py shipped`` takes a store of this package, which the other distribution has not.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from agent_framework import (
    Agent,
    BaseChatClient,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    tool,
)
from agent_framework_chatkit import ThreadItemConverter, stream_agent_response
from visiting import Files, Plain, Visit, message, run

from chatkit.server import ChatKitServer
from chatkit.types import ClientToolCallItem, ThreadItemDoneEvent, ThreadItemReplacedEvent, WidgetItem
from chatkit.widgets import Card, Text

HEARD: list[Any] = []


class Model(FunctionInvocationLayer, BaseChatClient):
    """Repeats what it is told, or calls a tool."""

    def _inner_get_response(self, *, messages: Any, stream: bool, options: Any, **_: Any) -> Any:
        assert stream
        return self._build_response_stream(self._answer(messages))

    async def _answer(self, messages: Any) -> AsyncIterator[ChatResponseUpdate]:
        said = [[entry.role, *(_shown(content) for content in entry.contents)] for entry in messages]
        HEARD.append(said)
        last = messages[-1]
        if last.role == "user" and last.text == "weather":
            call = Content.from_function_call(call_id="call_1", name="weather", arguments={"city": "Rome"})
            yield ChatResponseUpdate(role="assistant", contents=[call])
            return
        for text in ("I read ", str(len(said)), f" messages, at last {said[-1][-1]}"):
            yield ChatResponseUpdate(role="assistant", contents=[Content.from_text(text=text)])


def _shown(content: Any) -> str:
    if content.type == "function_result":
        return f"result {content.result}"
    if content.type == "function_call":
        return f"call {content.name}"
    return content.text if content.type == "text" else f"{content.type} {content.uri}"


@tool(approval_mode="never_require")
def weather(city: str) -> str:
    """Says what the weather is in a city."""
    return f"sunny in {city}"


class Uploaded(Files):
    """Files of which the bytes are known."""

    async def read(self, attachment_id: str) -> bytes:
        return f"content of {attachment_id}".encode()


class Application(ChatKitServer[Any]):
    """Answers with an agent, shows the result of its tool in a widget, and asks the page for the time."""

    def __init__(self, store: Any) -> None:
        files = Uploaded()
        super().__init__(store, files)
        self.agent = Agent(client=Model(), instructions="Be brief.", tools=[weather])
        self.converter = ThreadItemConverter(attachment_data_fetcher=files.read)

    async def respond(self, thread: Any, input_user_message: Any, context: Any) -> AsyncIterator[Any]:
        new: dict[str, Any] = {"thread_id": thread.id, "created_at": datetime.now()}  # noqa: DTZ005
        if input_user_message is not None and input_user_message.content[0].text == "clock":
            call_id = self.store.generate_item_id("tool_call", thread, context)
            yield ThreadItemDoneEvent(
                item=ClientToolCallItem(
                    **new, id=call_id, call_id="call_2", name="clock", arguments={"zone": "here"}
                )
            )
            return
        page = await self.store.load_thread_items(
            thread_id=thread.id, after=None, limit=1000, order="asc", context=context
        )
        results: list[str] = []

        async def noted(updates: Any) -> AsyncIterator[Any]:
            async for update in updates:
                results.extend(entry.result for entry in update.contents if entry.type == "function_result")
                yield update

        run = self.agent.run(await self.converter.to_agent_input(page.data), stream=True)
        async for event in stream_agent_response(noted(run), thread_id=thread.id):
            yield event
        for result in results:
            widget = Card(children=[Text(value=str(result))])
            item_id = self.store.generate_item_id("message", thread, context)
            yield ThreadItemDoneEvent(
                item=WidgetItem(**new, id=item_id, widget=widget, copy_text=str(result))
            )

    async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
        HEARD.append([action.type, action.payload])
        widget = Card(children=[Text(value="seen")])
        yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": widget}))

    async def add_feedback(self, thread_id: str, item_ids: list[str], feedback: Any, context: Any) -> None:
        HEARD.append([feedback, len(item_ids)])


async def play() -> Visit:
    """Returns the visit of a page."""
    store: Any = Plain()
    if sys.argv[1:] == ["shipped"]:
        from chatkit.store import MemoryStore

        store = MemoryStore()
    visit = Visit(Application(store), {"user_id": "ada"}, HEARD)
    ask = visit.ask
    created = await ask("chat", "threads.create", **message("Hi"))
    thread = {"thread_id": created[0]["thread"]["id"]}
    await ask("tool of the agent", "threads.add_user_message", **thread, **message("weather"))
    shown = await ask("items", "items.list", **thread, limit=50, order="asc")
    widget = next(item for item in shown["data"] if item["type"] == "widget")
    action = {"type": "more", "payload": {"days": 2}}
    await ask("action", "threads.custom_action", **thread, item_id=widget["id"], action=action)
    await ask("client tool", "threads.add_user_message", **thread, **message("clock"))
    await ask("output of it", "threads.add_client_tool_output", **thread, result={"time": "noon"})
    await ask("attachment", "attachments.create", name="a.txt", size=3, mime_type="text/plain")
    sent = message("Read this")
    sent["input"]["attachments"] = ["atc_1"]
    answered = await ask("message with it", "threads.add_user_message", **thread, **sent)
    sent = message("What is this?")
    sent["input"]["quoted_text"] = "sunny"
    await ask("quote", "threads.add_user_message", **thread, **sent)
    last = answered[-1]["item"]["id"]
    await ask("feedback", "items.feedback", **thread, item_ids=[last], kind="negative")
    first = next(item for item in shown["data"] if item["type"] == "user_message")
    await ask("retry", "threads.retry_after_item", **thread, item_id=first["id"])
    await ask("thread", "threads.get_by_id", **thread)
    await ask("threads", "threads.list", limit=10, order="desc")
    return visit


if __name__ == "__main__":
    run(play)
