"""An agent of Pydantic AI with a tool; without a model of yours, its test model answers."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from pydantic_ai import Agent

from chatkit.frameworks.pydantic_ai import stream_run, to_message_history
from chatkit.server import ChatKitServer
from chatkit.store import SQLiteStore
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem
from chatkit.web import create_app, single_user

Context = dict[str, str]

agent = Agent(
    os.environ.get("CHAT_MODEL", "test"),
    instructions="Answer briefly. Ask the tool when you need the time.",
)


@agent.tool_plain
async def time_of_day() -> str:
    """Returns the time in UTC."""
    return f"{datetime.now(UTC):%H:%M}"


class ClockServer(ChatKitServer[Context]):
    """Gives the agent what was said in the thread so far, and shows what it does."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context
    ) -> AsyncIterator[ThreadStreamEvent]:
        newest = await self.store.load_thread_items(thread.id, None, 50, "desc", context)
        history = await to_message_history(newest.data[::-1])
        run = agent.run_stream_events(message_history=history)
        async for event in stream_run(run, thread=thread, store=self.store, context=context):
            yield event


app = create_app(ClockServer(SQLiteStore("chatkit.db")), context=single_user(), ui=True)
