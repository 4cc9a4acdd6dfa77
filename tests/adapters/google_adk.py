"""An application of ``adk-chatkit``, as its examples write one, and what a page asks of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from adk_chatkit import (
    ADKAgentContext,
    ADKChatKitServer,
    ADKContext,
    ADKStore,
    ChatkitRunConfig,
    ClientToolCallState,
    issue_client_tool_call,
    stream_agent_response,
    stream_event,
    stream_widget,
)
from google.adk.agents import LlmAgent
from google.adk.agents.run_config import StreamingMode
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import Runner
from google.adk.sessions import InMemorySessionService
from google.adk.tools import ToolContext
from google.genai import types
from visiting import Visit, message, run

from chatkit.types import ProgressUpdateEvent, ThreadItemReplacedEvent
from chatkit.widgets import Card, Text

HEARD: list[Any] = []


class Model(BaseLlm):
    """Repeats what it is told, or calls a tool."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        assert stream
        said = [[entry.role, *map(_shown, entry.parts or [])] for entry in llm_request.contents]
        HEARD.append(said)
        last = said[-1][-1]
        if last in {"clock", "weather"}:
            call = types.Part.from_function_call(name=f"show_{last}", args={"place": "Rome"})
            yield LlmResponse(content=types.Content(role="model", parts=[call]))
            return
        # The adapter begins a message when it hears of an event without content.
        yield LlmResponse(partial=True)
        pieces = ("I read ", str(len(said)), f" messages, at last {last}")
        for text in pieces:
            yield LlmResponse(
                content=types.Content(role="model", parts=[types.Part(text=text)]), partial=True
            )
        yield LlmResponse(content=types.Content(role="model", parts=[types.Part(text="".join(pieces))]))


def _shown(part: types.Part) -> str:
    if part.function_response is not None:
        return f"result {part.function_response.response}"
    return f"call {part.function_call.name}" if part.function_call is not None else str(part.text)


async def show_weather(place: str, tool_context: ToolContext) -> dict[str, str]:
    """Shows the weather of a place."""
    await stream_event(ProgressUpdateEvent(text="Looking"), tool_context)
    await stream_widget(Card(children=[Text(value=f"sunny in {place}")]), tool_context)
    return {"weather": "sunny"}


async def show_clock(place: str, tool_context: ToolContext) -> dict[str, str]:
    """Asks the page for the time of a place."""
    await issue_client_tool_call(
        ClientToolCallState(name="clock", arguments={"place": place}), tool_context=tool_context
    )
    return {"asked": place}


class Application(ADKChatKitServer):
    """Answers with an agent of ADK, which keeps the conversation in its session."""

    def __init__(self) -> None:
        sessions = InMemorySessionService()
        super().__init__(ADKStore(sessions))
        agent = LlmAgent(
            name="guide",
            model=Model(model="scripted"),
            instruction="Be brief.",
            tools=[show_weather, show_clock],
        )
        self.runner = Runner(app_name="shop", agent=agent, session_service=sessions)

    async def _adk_respond(
        self, thread: Any, input_user_message: Any, context: ADKContext
    ) -> AsyncIterator[Any]:
        # The output of a tool is told to the agent by a message that the store does not show.
        text = "[HIDDEN] The page has answered." if input_user_message is None else _text(input_user_message)
        agent_context = ADKAgentContext(app_name=context.app_name, user_id=context.user_id, thread=thread)
        events = self.runner.run_async(
            user_id=context.user_id,
            session_id=thread.id,
            new_message=types.Content(role="user", parts=[types.Part.from_text(text=text)]),
            run_config=ChatkitRunConfig(streaming_mode=StreamingMode.SSE, context=agent_context),
        )
        async for event in stream_agent_response(agent_context, events):
            yield event

    async def action(self, thread: Any, action: Any, sender: Any, context: Any) -> AsyncIterator[Any]:
        HEARD.append([action.type, action.payload])
        widget = Card(children=[Text(value="seen")])
        yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": widget}))

    async def add_feedback(self, thread_id: str, item_ids: list[str], feedback: Any, context: Any) -> None:
        HEARD.append([feedback, len(item_ids)])


def _text(item: Any) -> str:
    return " ".join(part.text for part in item.content)


async def play() -> Visit:
    """Returns the visit of a page."""
    visit = Visit(Application(), ADKContext(app_name="shop", user_id="ada"), HEARD)
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
    await ask("items with the call", "items.list", **thread, limit=50, order="asc")
    await ask("attachment", "attachments.create", name="a.txt", size=3, mime_type="text/plain")
    sent = message("Read this")
    sent["input"]["attachments"] = ["atc_1"]
    await ask("message with it", "threads.add_user_message", **thread, **sent)
    first = next(item for item in shown["data"] if item["type"] == "user_message")
    last = next(item for item in shown["data"] if item["type"] == "assistant_message")
    await ask("feedback", "items.feedback", **thread, item_ids=[last["id"]], kind="negative")
    await ask("retry", "threads.retry_after_item", **thread, item_id=first["id"])
    await ask("title", "threads.update", **thread, title="Weather")
    await ask("thread", "threads.get_by_id", **thread)
    await ask("threads", "threads.list", limit=10, order="desc")
    await ask("delete", "threads.delete", **thread)
    await ask("threads at last", "threads.list", limit=10, order="desc")
    return visit


if __name__ == "__main__":
    run(play)
