"""The agent: its instructions, its model, and a tool that looks into orders."""

import orders
from agents import Agent, RunContextWrapper, function_tool
from stand_in import answer

from chatkit.agents import AgentContext
from chatkit.testing import ScriptedModel

Context = dict[str, str]
Chat = RunContextWrapper[AgentContext[Context]]


@function_tool
async def find_order(ctx: Chat, number: str) -> str:
    """Returns what is known of an order, by its number."""
    order = orders.find(ctx.context.request_context["user_id"], number)
    if order is None:
        return f"You have no order {number}."
    return f"Order {number}, {order.product}, is {order.state}."


agent: Agent[AgentContext[Context]] = Agent(
    name="Shop",
    instructions="You help customers of a tea shop with their orders. Answer briefly.",
    model=ScriptedModel([answer], repeat=True),
    tools=[find_order],
)
