"""The server: an agent that answers, a widget that it shows, and what happens when the user clicks."""

import logging
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, RunContextWrapper, Runner, function_tool
from openai import RateLimitError

from chatkit.agents import AgentContext, ThreadItemConverter, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    ErrorEvent,
    FileStore,
    Store,
    TextContent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)
from chatkit.widgets import DynamicWidgetComponent, DynamicWidgetRoot

logger = logging.getLogger(__name__)

Context = dict[str, str]


@function_tool
async def offer(ctx: RunContextWrapper[AgentContext[Context]], options: list[str]) -> str:
    """Shows the user a few options to choose from."""
    buttons = [
        DynamicWidgetComponent(
            type="Button",
            label=option,
            onClickAction={"type": "select_option", "payload": {"option": option}},
        )
        for option in options
    ]
    card = DynamicWidgetRoot(type="Card", children=buttons)
    await ctx.context.stream_widget(card, copy_text=", ".join(options))
    return "The options are shown."


def file_content(attachment: Attachment) -> Any:
    """Returns what the model is given of a file."""
    if attachment.type == "image":
        return {"type": "input_image", "image_url": str(attachment.preview_url), "detail": "auto"}
    return {"type": "input_text", "text": f"[The user attached the file {attachment.name}.]"}


class Assistant(ChatKitServer[Context]):
    """Answers by an agent."""

    agent = Agent[AgentContext[Context]](
        name="Assistant",
        instructions="Answer briefly. Offer options where the user has a choice.",
        tools=[offer],
    )
    converter = ThreadItemConverter(attachment_to_message_content=file_content)

    def __init__(self, store: Store, file_store: FileStore | None = None) -> None:
        super().__init__(store, file_store)
        self.threads = store

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context
    ) -> AsyncIterator[ThreadStreamEvent]:
        items = await self.threads.load_thread_items(thread.id)
        agent_context = AgentContext(thread=thread, store=self.threads, request_context=context)
        try:
            agent_input = await self.converter.to_agent_input(items[-50:])
            result = Runner.run_streamed(self.agent, agent_input, context=agent_context)
            async for event in stream_agent_response(agent_context, result):
                yield event
        except RateLimitError:
            yield ErrorEvent(
                message="Too many questions at once. Wait a minute.", code="rate_limit", retryable=True
            )
        except Exception:
            # What is said here is for the user; without this clause they would be told in general words.
            logger.exception("The agent failed.")
            yield ErrorEvent(
                message="The assistant cannot answer now.", code="internal_error", retryable=True
            )

    async def action(
        self, thread: ThreadMetadata, action_type: str, payload: dict[str, Any], context: Context
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answers a click on a button of the widget."""
        if action_type == "select_option":
            text = f"You chose {payload['option']}."
            item_id = await self.threads.generate_id("msg")
            yield ThreadItemAddedEvent(
                item=AssistantMessageItem(id=item_id, content=[TextContent(text=text)])
            )
            yield ThreadItemDoneEvent(id=item_id)
