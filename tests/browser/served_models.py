"""Models of each framework that answer by the user's last message, in place of a real one.

``look up tea`` calls a tool, ``count`` says many words, ``count far`` more than anybody waits for, a file is repeated,
and a title is made for the first message.
"""

# LangGraph has no stubs, and types that are only known in part.
# pyright: basic

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

COUNTED, FAR = 40, 2000
TITLE = "About tea"
_PAUSE = 0.05
"""Seconds between two words: time to reload a page, and to stop."""


def answer_to(text: str) -> list[str]:
    """Returns the words of the answer to a message, or to what a tool said."""
    if "count" in text:
        answer = " ".join(str(number) for number in range(FAR if "far" in text else COUNTED))
    elif "note.txt" in text:
        answer = "The note says: " + ("hello file" if "hello file" in text else "nothing")
    else:
        answer = f"I know that {text}"
    return [f"{word} " for word in answer.split(" ")]


async def words(text: str) -> AsyncIterator[str]:
    """Yields them one after the other."""
    for word in answer_to(text):
        yield word
        await asyncio.sleep(_PAUSE)


def sdk_model() -> Any:
    """Returns a model of the OpenAI Agents SDK."""
    from chatkit.testing import ModelToolCall, ScriptedModel

    class Talking(ScriptedModel):
        async def get_response(self, *arguments: Any, **options: Any) -> Any:
            return await ScriptedModel([TITLE]).get_response(*arguments, **options)

        async def stream_response(
            self, instructions: Any, input: Any, *arguments: Any, **options: Any
        ) -> Any:
            newest = input[-1]
            if newest.get("type") == "function_call_output":
                answer: Any = "".join(answer_to(newest["output"]))
            elif "look up" in str(newest):
                answer = ModelToolCall("look_up", {"word": "tea"})
            else:
                answer = "".join(answer_to(str(newest)))
            script = ScriptedModel([answer], before_each_event=lambda: asyncio.sleep(4 * _PAUSE))
            async for event in script.stream_response(instructions, input, *arguments, **options):
                yield event

    return Talking([])


def pydantic_ai_model() -> Any:
    """Returns a model of Pydantic AI."""
    from pydantic_ai.messages import ModelResponse, TextPart, ToolReturnPart
    from pydantic_ai.models.function import DeltaToolCall, FunctionModel

    def title(messages: Any, info: Any) -> ModelResponse:
        return ModelResponse(parts=[TextPart(TITLE)])

    async def stream(messages: Any, info: Any) -> AsyncIterator[Any]:
        newest = messages[-1].parts[-1]
        if isinstance(newest, ToolReturnPart):
            said = str(newest.content)
        elif "look up" in str(newest.content):
            yield {0: DeltaToolCall("look_up", '{"word": "tea"}')}
            return
        else:
            said = str(newest.content)
        async for word in words(said):
            yield word

    return FunctionModel(title, stream_function=stream)


def langchain_model() -> Any:
    """Returns a chat model of LangChain."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

    class Talking(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "talking"

        def bind_tools(self, tools: Any, **options: Any) -> Any:
            return self

        def _generate(self, *arguments: Any, **options: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage(TITLE))])

        async def _astream(self, messages: Any, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
            newest = messages[-1]
            if not isinstance(newest, ToolMessage) and "look up" in str(newest.content):
                call: Any = {"name": "look_up", "args": '{"word": "tea"}', "id": "call_1", "index": 0}
                yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[call]))
                return
            async for word in words(str(newest.content)):
                yield ChatGenerationChunk(message=AIMessageChunk(word))

    return Talking()
