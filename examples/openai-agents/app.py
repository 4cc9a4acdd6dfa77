"""An agent of the OpenAI Agents SDK, with a tool whose work is shown while it runs."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from agents import Agent, RunContextWrapper, Runner, function_tool

from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.store import SQLiteStore
from chatkit.types import CustomTask, ThreadMetadata, ThreadStreamEvent, UserMessageItem
from chatkit.web import create_app, single_user

Context = dict[str, str]


@function_tool
async def time_of_day(ctx: RunContextWrapper[AgentContext[Context]]) -> str:
    """Returns the time in UTC."""
    await ctx.context.add_workflow_task(CustomTask(title="Looking at the clock"))
    return f"{datetime.now(UTC):%H:%M}"


agent = Agent[AgentContext[Context]](
    name="Clock",
    instructions="Answer briefly. Ask the tool when you need the time.",
    tools=[time_of_day],
)


class ClockServer(ChatKitServer[Context]):
    """Gives the agent what was said in the thread so far, and shows what it does."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context
    ) -> AsyncIterator[ThreadStreamEvent]:
        newest = await self.store.load_thread_items(thread.id, None, 50, "desc", context)
        agent_input = await simple_to_agent_input(newest.data[::-1])
        agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(agent, agent_input, context=agent_context)
        async for event in stream_agent_response(agent_context, result):
            yield event


app = create_app(ClockServer(SQLiteStore("chatkit.db")), context=single_user(), ui=True)
