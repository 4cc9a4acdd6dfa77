"""Serves a graph of LangGraph, or another runnable of LangChain, as it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.pregel import Pregel  # pyright: ignore[reportMissingTypeStubs]
from langgraph.types import StateSnapshot  # pyright: ignore[reportMissingTypeStubs]
from typing_extensions import TypeVar

from chatkit._observers import observed_run
from chatkit.errors import ConfigurationError
from chatkit.files.base import AttachmentStore
from chatkit.frameworks._langgraph_client_tools import answers_to_open_calls, known_calls, resumption
from chatkit.frameworks._langgraph_history import to_messages
from chatkit.frameworks._langgraph_run import STREAM_MODES, RunConverter, custom_steps, is_answer, run_steps
from chatkit.frameworks._langgraph_traces import TraceHandler
from chatkit.frameworks._langgraph_usage import UsageCallbacks
from chatkit.frameworks.agent_server import AgentTurn, BaseAgentServer
from chatkit.frameworks.attachments import attachment_kind, attachment_text, encoded, media_type
from chatkit.frameworks.step_converter import stream_steps
from chatkit.frameworks.steps import Step
from chatkit.frameworks.titles import TITLE_INSTRUCTIONS, tidied
from chatkit.frameworks.usage import kept_usage, served_usage
from chatkit.store.base import Store
from chatkit.types import (
    Attachment,
    ClientToolCallItem,
    FileStore,
    ThreadStreamEvent,
    UserMessageTagContent,
    WorkflowItem,
)
from chatkit.types import Store as SimpleStore

__all__ = ["AgentServer"]

TContext = TypeVar("TContext", default=Any)


class AgentServer(BaseAgentServer[TContext]):
    """Serves a compiled graph, an agent of LangChain, or another runnable. Each part is a method to override.

    A graph with a checkpointer remembers by it what was said: it is given only what is new, with the thread's id as
    ``thread_id``, and an interrupted run goes on where it was. Any other is given the thread's history.

    Tools that were made with :func:`client_tool` are carried out by the page.

    Args:
        agent: The graph or runnable.
        store: As for :class:`chatkit.frameworks.BaseAgentServer`.
        attachment_store: Keeps attached files; None takes none.
        title_model: Makes titles; None takes the first words of a thread.
        config: The configuration of each run, such as ``{"recursion_limit": 50}``.
        run_options: More arguments of ``astream()``, such as ``context``.
        options: Options of :class:`chatkit.frameworks.BaseAgentServer`.
    """

    def __init__(
        self,
        agent: Runnable[Any, Any],
        store: Store[TContext] | SimpleStore | None = None,
        attachment_store: AttachmentStore[TContext] | FileStore | None = None,
        *,
        title_model: BaseChatModel | None = None,
        config: Mapping[str, Any] | None = None,
        run_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(cast("object", agent), Runnable):
            raise ConfigurationError(
                f"AgentServer serves a runnable, such as a compiled graph, not {agent!r}: call compile() of a graph."
            )
        super().__init__(store, attachment_store, **options)
        self.agent = agent
        # Its overloads differ by the kind of the runnable.
        self._astream: Any = agent.astream
        self.title_model = title_model
        self._config = config or {}
        self._run_options = run_options or {}

    # What may be overridden.

    def make_config(self, turn: AgentTurn[TContext]) -> dict[str, Any]:
        """Returns the configuration of the run, with ``thread_id`` and the picked ``model`` in ``configurable``."""
        configurable: dict[str, Any] = {**self._config.get("configurable", {}), "thread_id": turn.thread.id}
        picked = self.picked_model(turn)
        if picked is not None:
            configurable["model"] = picked
        return {**self._config, "configurable": configurable}

    def make_input(self, turn: AgentTurn[TContext], messages: list[AnyMessage]) -> Any:
        """Returns the input of the run: for a model the messages, for all else ``{"messages": messages}``.

        Args:
            turn: What is asked.
            messages: What :meth:`make_messages` returned.
        """
        return messages if isinstance(self.agent, BaseChatModel) else {"messages": messages}

    async def make_messages(self, turn: AgentTurn[TContext]) -> list[AnyMessage]:
        """Returns what the agent is given: the items of the turn, with their files and what is mentioned in them."""

        def convert(attachment: Attachment) -> Any:
            content = turn.contents.get(attachment.id)
            kind = attachment_kind(attachment)
            if content is None or kind == "text":
                return attachment_text(attachment, content)
            block = {"base64": encoded(content), "mime_type": media_type(attachment)}
            if kind == "picture":
                return {"type": "image", **block}
            return {"type": "file", **block, "filename": attachment.name}

        # Steps are for the user: the answer says what came of them.
        items = [item for item in turn.items if not isinstance(item, WorkflowItem)]
        return await to_messages(items, attachment_to_content=convert, tag_to_content=self.mention)

    def mention(self, tag: UserMessageTagContent) -> Any:
        """Returns what the model is told of something that the user mentioned: its name and its data."""
        return f"{tag.text}: {tag.data}"

    def is_answer(self, namespace: Sequence[str], metadata: Mapping[str, Any]) -> bool:
        """Returns whether what a model says is shown; by default it is, except where a tool has asked the model.

        Args:
            namespace: The subgraphs that the model was asked in, each as ``node:id``.
            metadata: LangGraph's about the message, such as ``langgraph_node``.
        """
        return is_answer(namespace, metadata)

    def custom_steps(self, event: Any) -> Sequence[Step]:
        """Returns what an event that a node wrote with LangGraph's stream writer is shown as.

        By default steps of ``chatkit.frameworks`` and thread stream events go out as they are, a text is a step that
        is done, and nothing is shown of other things.
        """
        return custom_steps(event)

    async def make_title(self, text: str, turn: AgentTurn[TContext]) -> str | None:
        """Returns a title by the title model."""
        if self.title_model is None:
            return None
        usage = kept_usage()
        config: Any = None if usage is None else {"callbacks": [UsageCallbacks(usage, "title")]}
        made = await self.title_model.ainvoke([SystemMessage(TITLE_INSTRUCTIONS), HumanMessage(text)], config)
        return tidied(made.text)

    # The answer.

    async def recall(self, turn: AgentTurn[TContext]) -> bool:
        """Returns whether the checkpointer has something.

        For a message that it has already, the run continues at the checkpoint before it.
        """
        config = self.make_config(turn)
        turn.memory = config, None
        graph: Any = self.agent
        if not isinstance(self.agent, Pregel) or not graph.checkpointer:
            return False
        point = self.point_before(turn)
        if point:
            config["configurable"]["checkpoint_id"] = point
        state = await graph.aget_state(config)
        if point == "" or (point and state.created_at is None):
            # It was the first message, or the checkpoint before it is gone: the memory begins anew.
            config["configurable"].pop("checkpoint_id", None)
            checkpointer: Any = graph.checkpointer
            if checkpointer is not True:
                await checkpointer.adelete_thread(turn.thread.id)
            return False
        known: str | None = state.config["configurable"].get("checkpoint_id")
        if point is None:
            await self.remember_point(turn, known or "")
        turn.memory = config, state
        return bool(known)

    async def answer(self, turn: AgentTurn[TContext]) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Runs the agent."""
        config, state = cast("tuple[RunnableConfig, StateSnapshot | None]", turn.memory)
        usage = served_usage()
        if usage is not None:
            config = merge_configs(config, {"callbacks": [UsageCallbacks(usage)]})
        given = await self._given(turn, state)
        options: dict[str, Any] = {**self._run_options}
        if isinstance(self.agent, Pregel):
            options |= {"stream_mode": [*STREAM_MODES], "subgraphs": True}
        with observed_run(getattr(cast("Any", self.agent), "name", None), turn.thread.id) as runs:
            if runs:
                config = merge_configs(config, {"callbacks": [TraceHandler(runs)]})
            stream = self._astream(given, config, **options)
            converter = RunConverter(self.tool_title, self.is_answer, self.custom_steps, self.pause_text)
            steps = run_steps(stream, converter)
            events = stream_steps(
                steps, thread=turn.thread, store=self._chatkit_store(), context=turn.context
            )
            async for event in events:
                yield event

    async def _given(self, turn: AgentTurn[TContext], state: StateSnapshot | None) -> Any:
        """Returns what the run begins with, or goes on with.

        Args:
            turn: What is asked.
            state: The graph's; None where it has nothing.
        """
        if state is None:
            return self.make_input(turn, await self.make_messages(turn))
        if turn.message is None and (resumed := resumption(state, turn.items)) is not None:
            return resumed
        before = answers_to_open_calls(state, turn.items)
        known = known_calls(state)
        news = [
            item
            for item in turn.items
            if not isinstance(item, ClientToolCallItem) or item.call_id not in known
        ]
        turn = replace(turn, items=news)
        messages = await self.make_messages(turn)
        if turn.message is None and not messages and state.next:
            # It has what the page answered: a run that did not end goes on.
            return None
        return self.make_input(turn, [*before, *messages])
