"""A chat model of LangChain that follows a script, and servers of its agents."""

# LangChain has types that are only known in part.
# pyright: basic

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from chatkit.frameworks.langgraph import AgentServer
from chatkit.store import MemoryStore


class Script(BaseChatModel):
    """Streams answers in order, and keeps what it was given."""

    answers: list[Any]
    requests: list[list[BaseMessage]] = []  # noqa: RUF012 -- pydantic copies it

    @property
    def _llm_type(self) -> str:
        return "script"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self

    def _generate(self, messages: Any, *arguments: Any, **options: Any) -> ChatResult:
        raise AssertionError

    async def _agenerate(self, messages: Any, *arguments: Any, **options: Any) -> ChatResult:
        chunks = [chunk async for chunk in self._astream(messages)]
        whole = AIMessage("".join(chunk.message.text for chunk in chunks))
        return ChatResult(generations=[ChatGeneration(message=whole)])

    async def _astream(self, messages: Any, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        self.requests.append(messages)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for piece in answer if isinstance(answer, list) else [answer]:
            fields: dict[str, Any] = (
                {"content": piece} if isinstance(piece, str) else {"content": "", **piece}
            )
            yield ChatGenerationChunk(message=AIMessageChunk(**fields))


def calls(*names: str, first: int = 0) -> dict[str, Any]:
    """Returns calls of tools, each with the word tea. Their ids are c0, c1 and so on, from the first."""
    return {
        "tool_call_chunks": [
            {"name": name, "args": '{"word": "tea"}', "id": f"c{first + index}", "index": index}
            for index, name in enumerate(names)
        ]
    }


def thought(text: str) -> dict[str, Any]:
    return {"additional_kwargs": {"reasoning_content": text}}


def serve(agent: Any, store: Any = None, **options: Any) -> AgentServer[Any]:
    return AgentServer(agent, MemoryStore() if store is None else store, **options)


def said(messages: list[BaseMessage]) -> list[str]:
    return [message.text for message in messages if not isinstance(message, ToolMessage) and message.text]
