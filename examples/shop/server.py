"""The server: the agent with tools that show something, and what buttons and forms do."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import feedback as table
import orders
from agents import function_tool
from assistant import Chat, Context, agent
from cards import order_card
from pydantic import ValidationError
from returns import ReturnRequest, return_form

from chatkit import Action, ThreadMetadata, WidgetItem
from chatkit.agents import AgentServer
from chatkit.store import Store
from chatkit.types import (
    FeedbackKind,
    HiddenContextItem,
    NoticeEvent,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadStreamEvent,
)


@function_tool
async def show_order(ctx: Chat, number: str) -> str:
    """Shows an order, with a button that cancels it."""
    order = orders.find(ctx.context.request_context["user_id"], number)
    if order is None:
        return f"You have no order {number}."
    await ctx.context.stream_widget(order_card(order), copy_text=f"Order {number}")
    return "Here it is."


@function_tool
async def offer_return(ctx: Chat, number: str) -> str:
    """Shows the form by which an order is sent back."""
    order = orders.find(ctx.context.request_context["user_id"], number)
    if order is None:
        return f"You have no order {number}."
    await ctx.context.stream_widget(return_form(order), copy_text=f"Sending back order {number}")
    return "Tell me why, and we send you a label."


class ShopServer(AgentServer[Context]):
    """Serves the agent, and acts on what users press and send."""

    def __init__(self, store: Store[Context], **options: Any) -> None:
        shop = agent.clone(
            tools=[
                *agent.tools,
                show_order,
                offer_return,
            ]
        )
        super().__init__(shop, store, **options)

    async def action(
        self, thread: ThreadMetadata, action: Action[str, Any], sender: WidgetItem | None, context: Context
    ) -> AsyncIterator[ThreadStreamEvent | str]:
        """Answers a button or a form. A client can send anything, so nothing of it is believed."""
        try:
            order = orders.find(context["user_id"], action.payload["number"])
        except (TypeError, KeyError):
            order = None
        if order is None or sender is None:
            yield NoticeEvent(level="warning", message="There is no such order.")
            return
        match action.type:
            case "order.cancel" if order.state == "on its way":
                order.state = "cancelled"
                yield f"Order {order.number} is cancelled."
            case "order.return" if order.state == "on its way":
                try:
                    form = ReturnRequest.model_validate(action.payload)
                except ValidationError:
                    yield NoticeEvent(level="warning", message="Choose a reason first.")
                    return
                order.state = f"coming back ({form.reason})"
                yield "Thank you. The label is in your mail."
            case _:
                yield NoticeEvent(level="warning", message="This cannot be done any more.")
                return
        # The card takes the place of the button or the form that was used.
        yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": order_card(order)}))
        # For the model alone, so that it knows when it is asked next.
        note = HiddenContextItem(content=f"Order {order.number} is {order.state} now.")
        yield ThreadItemDoneEvent(item=note)

    async def add_feedback(
        self, thread_id: str, item_ids: list[str], feedback: FeedbackKind, context: Context
    ) -> None:
        """Keeps feedback with the thread, as every AgentServer does, and in the table."""
        await super().add_feedback(thread_id, item_ids, feedback, context)
        await asyncio.to_thread(table.keep, context["user_id"], thread_id, item_ids, feedback)
