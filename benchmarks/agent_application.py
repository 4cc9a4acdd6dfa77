"""The application whose answers come from a run of the Agents SDK; one source for both packages, as the other one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, set_tracing_disabled
from application import WORDS, DictStore
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
)

from chatkit.agents import AgentContext, simple_to_agent_input, stream_agent_response
from chatkit.server import ChatKitServer
from chatkit.types import ThreadMetadata, ThreadStreamEvent, UserMessageItem

set_tracing_disabled(True)


class Script(Model):
    """A model that answers with ``deltas`` pieces of text, all ready."""

    def __init__(self, deltas: int) -> None:
        self.deltas = deltas

    async def get_response(self, *arguments: Any, **options: Any) -> ModelResponse:
        raise NotImplementedError

    async def stream_response(self, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        pieces = [WORDS[number % len(WORDS)] for number in range(self.deltas)]
        item: dict[str, Any] = {"item_id": "msg_model", "output_index": 0, "content_index": 0}
        text = ResponseOutputText(type="output_text", text="".join(pieces), annotations=[])
        empty = text.model_copy(update={"text": ""})
        message = ResponseOutputMessage(
            id="msg_model", type="message", role="assistant", status="completed", content=[text]
        )
        begun = message.model_copy(update={"content": [], "status": "in_progress"})
        response = Response.model_validate(
            {
                "id": "resp_1",
                "created_at": 0,
                "model": "script",
                "object": "response",
                "output": [],
                "parallel_tool_calls": False,
                "tool_choice": "auto",
                "tools": [],
            }
        )
        number = 0

        def count() -> int:
            nonlocal number
            number += 1
            return number

        yield ResponseCreatedEvent(type="response.created", response=response, sequence_number=count())
        yield ResponseOutputItemAddedEvent(
            type="response.output_item.added", item=begun, output_index=0, sequence_number=count()
        )
        yield ResponseContentPartAddedEvent(
            type="response.content_part.added", part=empty, sequence_number=count(), **item
        )
        for piece in pieces:
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta", delta=piece, logprobs=[], sequence_number=count(), **item
            )
        yield ResponseTextDoneEvent(
            type="response.output_text.done", text=text.text, logprobs=[], sequence_number=count(), **item
        )
        yield ResponseContentPartDoneEvent(
            type="response.content_part.done", part=text, sequence_number=count(), **item
        )
        yield ResponseOutputItemDoneEvent(
            type="response.output_item.done", item=message, output_index=0, sequence_number=count()
        )
        yield ResponseCompletedEvent(
            type="response.completed",
            response=response.model_copy(update={"output": [message], "status": "completed"}),
            sequence_number=count(),
        )


class AgentApplication(ChatKitServer[dict[str, Any]]):
    """Answers every message with the run of an agent."""

    def __init__(self, store: DictStore, deltas: int) -> None:
        super().__init__(store)
        self.agent = Agent[AgentContext[dict[str, Any]]](name="Script", model=Script(deltas))

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: dict[str, Any],
    ) -> AsyncIterator[ThreadStreamEvent]:
        assert input_user_message is not None
        agent_context = AgentContext(thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(
            self.agent,
            await simple_to_agent_input(input_user_message),
            context=agent_context,
            run_config=RunConfig(tracing_disabled=True),
        )
        async for event in stream_agent_response(agent_context, result):
            yield event
