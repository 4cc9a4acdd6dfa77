"""Serves an agent of the OpenAI Agents SDK as it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import replace
from typing import Any, Final, cast

from agents import (
    Agent,
    ImageGenerationTool,
    Model,
    ModelSettings,
    RunConfig,
    Runner,
    RunResultStreaming,
    Tool,
    TResponseInputItem,
)
from agents.memory import Session
from pydantic import JsonValue
from typing_extensions import TypeVar

from chatkit._checks import check_annotated
from chatkit._observers import observed_run
from chatkit._tasks import maybe_await
from chatkit.agents.context import AgentContext
from chatkit.agents.input_items import ThreadItemConverter
from chatkit.agents.mcp_connections import McpConnections
from chatkit.agents.observed import ObservedHooks
from chatkit.agents.response_converter import ResponseStreamConverter
from chatkit.agents.response_stream import stream_agent_response
from chatkit.agents.run_journal import RunJournal, usual_effect
from chatkit.agents.run_usage import RunUsage, model_name, most_output
from chatkit.agents.tool_steps import HostedToolConverter, ToolStepHooks
from chatkit.files.base import AttachmentStore
from chatkit.frameworks.agent_server import AgentTurn, BaseAgentServer
from chatkit.frameworks.attachments import to_model_content
from chatkit.frameworks.failures import find_missing_key
from chatkit.frameworks.titles import TITLE_INSTRUCTIONS, tidied
from chatkit.frameworks.usage import kept_call, kept_usage, served_usage, usage_of
from chatkit.server.turns.journal import keeps_journals, turn_journal
from chatkit.store.base import Store
from chatkit.store.journal import Effect
from chatkit.types import (
    Attachment,
    FileStore,
    HiddenContextItem,
    NoticeEvent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageTagContent,
    WorkflowItem,
)
from chatkit.types import Store as SimpleStore

__all__ = ["AgentServer"]

TContext = TypeVar("TContext", default=Any)

_ALL_ITEMS: Final = 1_000_000
"""More than a session has: without a number some return the newest ones only."""
_NO_SETTINGS: Final = ModelSettings()
"""None of the SDK's own, which are for its default model; other models refuse some."""
_UNSURE: Final = (
    "The server stopped while {} ran, and cannot tell whether that was done. It was not repeated."
)


class AgentServer(BaseAgentServer[TContext]):
    """Serves an agent of the Agents SDK. Each part is a method, which a subclass can override.

    Args:
        agent: The agent. Its tools get an :class:`AgentContext` as their context. MCP servers of its own that are not
            connected are, with the first answer; those of an agent that it hands over to are with the first handoff.
            For those of an agent that is a tool call :meth:`connect_mcp_servers`.
        store: As for :class:`chatkit.frameworks.BaseAgentServer`.
        attachment_store: Keeps attached files; None takes none.
        session: Returns the SDK's session of a thread, from the thread and the request's context; sync or async. The
            agent remembers by it what was said, and is given only what is new.
        title_model: Makes titles; None is the agent's model.
        run_config: The configuration of each run.
        tool_effects: What it means that a tool runs again, by its name; see :meth:`tool_effect`.
        run_options: More arguments of ``Runner.run_streamed``, such as ``max_turns``.
        options: Options of :class:`chatkit.frameworks.BaseAgentServer`.
    """

    rerun_on_crash: int = 1

    def __init__(
        self,
        agent: Agent[Any],
        store: Store[TContext] | SimpleStore | None = None,
        attachment_store: AttachmentStore[TContext] | FileStore | None = None,
        *,
        session: Callable[[ThreadMetadata, TContext], Any] | None = None,
        title_model: str | Model | None = None,
        run_config: RunConfig | None = None,
        tool_effects: Mapping[str, Effect] | None = None,
        run_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(store, attachment_store, **options)
        chosen = "rerun_on_crash" in options or type(self).rerun_on_crash != AgentServer.rerun_on_crash
        answers = type(self).answer is AgentServer.answer and type(self).respond is AgentServer.respond
        if not chosen and not (answers and keeps_journals(self._chatkit_store())):
            # What has no journal would be done twice.
            self.rerun_on_crash = 0
        self.agent = agent
        self.title_model = title_model
        self.tool_effects = tool_effects or {}
        for name, effect in self.tool_effects.items():
            check_annotated(f"AgentServer(tool_effects={{{name!r}: ...}})", effect, Effect)
        self._session = session
        self._run_config = run_config or RunConfig()
        self._run_options = run_options or {}
        self._mcp = McpConnections()

    # What may be overridden.

    async def agent_of(self, turn: AgentTurn[TContext]) -> Agent[Any]:
        """Returns the agent that is to answer."""
        return self.agent

    async def session_of(self, turn: AgentTurn[TContext]) -> Session | None:
        """Returns the SDK's session of the thread; None for an agent that is given the thread's history."""
        made = None if self._session is None else self._session(turn.thread, turn.context)
        return await maybe_await(made)

    def make_context(self, turn: AgentTurn[TContext]) -> AgentContext[TContext]:
        """Returns the context of the run, which tools act on the chat by."""
        return AgentContext(thread=turn.thread, store=self.store, request_context=turn.context)

    async def make_input(self, turn: AgentTurn[TContext]) -> list[TResponseInputItem]:
        """Returns what the agent is given: the items of the turn, with their files and what is mentioned in them."""

        def convert(attachment: Attachment) -> dict[str, Any]:
            return to_model_content(attachment, turn.contents)

        converter = ThreadItemConverter(
            attachment_to_message_content=convert,
            tag_to_message_content=self.mention,
            # Steps are for the user: the answer says what came of them.
            workflow_to_input=_nothing,
        )
        return await converter.to_agent_input(turn.items)

    def mention(self, tag: UserMessageTagContent) -> dict[str, Any]:
        """Returns what the model is told of something that the user mentioned: its name and its data."""
        return {"type": "input_text", "text": f"{tag.text}: {tag.data}"}

    def make_run_config(self, turn: AgentTurn[TContext]) -> RunConfig:
        """Returns the configuration of the run, with the model that the user picked if it is one of ``models``."""
        picked = self.picked_model(turn)
        return self._run_config if picked is None else replace(self._run_config, model=picked)

    def make_converter(self, agent: Agent[Any]) -> ResponseStreamConverter:
        """Returns what decides how citations, images and hosted tools are shown."""
        images = [tool for tool in agent.tools if isinstance(tool, ImageGenerationTool)]
        partial_images = next((tool.tool_config.get("partial_images") for tool in images), None)
        return HostedToolConverter(self.tool_title, partial_images=partial_images)

    def handoff_title(self, name: str) -> str | None:
        """Returns what the user is shown when the agent of that name takes over; None to show nothing."""
        return f"Handing over to {name}"

    def tool_effect(self, tool: Tool) -> Effect:
        """Returns what it means that a tool runs again, which a turn that goes on after a crash has to know.

        By default that is as ``tool_effects`` says, else ``"repeatable"`` for tools of MCP servers that say so
        (``readOnlyHint``, ``idempotentHint``), and ``"once"`` for all others. See :func:`chatkit.server.journal.step`.

        Args:
            tool: The tool.
        """
        return self.tool_effects.get(tool.name) or usual_effect(tool)

    def dump_context(self, context: TContext) -> JsonValue:
        """Returns a context that is ``{"user_id": ...}`` and no more, as sign-in of this package makes it; else None.

        Override it, with :meth:`load_context`, for contexts of your own: turns whose worker dies go on then.
        """
        found: Any = context
        is_plain = isinstance(context, dict) and found.keys() == {"user_id"}
        return found if is_plain and isinstance(found["user_id"], str) else None

    def load_context(self, data: JsonValue) -> TContext | Awaitable[TContext]:
        """Returns the context that :meth:`dump_context` returned."""
        return cast("TContext", data)

    async def make_title(self, text: str, turn: AgentTurn[TContext]) -> str | None:
        """Returns a title by the title model, or by the model of the agent."""
        config = self.make_run_config(turn)
        config = replace(config, model=self.title_model or config.model or self.agent.model)
        most, usage = most_output(self.agent, config), kept_usage()
        # Within a budget a title is bounded as an answer is, which the model is known to take.
        settings = ModelSettings(max_tokens=most) if usage is not None and usage.bounded else _NO_SETTINGS
        titler = Agent[Any](name="Titles", instructions=TITLE_INSTRUCTIONS, model_settings=settings)
        given = [TITLE_INSTRUCTIONS, text]
        async with kept_call(model_name(titler, config), given, most, step="title") as call:
            run = await Runner.run(titler, text, run_config=config)
            if call is not None:
                call.usage = usage_of(call.model, run.context_wrapper.usage)
        return tidied(str(run.final_output))

    def missing_key(self) -> str | None:
        """Returns the environment variable that the client of the agent's model asks for when it is made."""
        model = self._run_config.model or self.agent.model
        if isinstance(model, Model):
            return None
        try:
            self._run_config.model_provider.get_model(model)
        except Exception as error:  # noqa: BLE001 -- what else is wrong is told where the agent is run
            return find_missing_key(error)
        return None

    async def connect_mcp_servers(self, *agents: Agent[Any]) -> None:
        """Connects the MCP servers of agents that are not connected yet, for :meth:`agent_of` to call.

        That is for agents that another one has as a tool, by ``as_tool()``: the SDK does not say which those are. A
        server that cannot be connected is named in the log, and the tool fails. The connections end with :meth:`close`.

        Args:
            agents: The agents.
        """
        for agent in agents:
            await self._mcp.connected(agent)

    async def close(self) -> None:
        """Shuts down, closes the store, and ends the connections to MCP servers that were made here."""
        await super().close()
        await self._mcp.close()

    # The answer.

    async def recall(self, turn: AgentTurn[TContext]) -> bool:
        """Returns whether the session has something, which is taken back to before the message if that is in it."""
        session = turn.memory = await self.session_of(turn)
        if session is None:
            return False
        known = len(await session.get_items(_ALL_ITEMS))
        point = self.point_before(turn)
        if point is None:
            await self.remember_point(turn, known)
            return known > 0
        while known > point and await session.pop_item() is not None:
            known -= 1
        return known > 0

    async def answer(self, turn: AgentTurn[TContext]) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Runs the agent."""
        agent = await self._mcp.connected(await self.agent_of(turn))
        context = self.make_context(turn)
        context._settles_tasks = True  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        given = await self.make_input(turn)
        if turn.memory is not None and turn.message is None:
            await _take_back_outputs(turn.memory, given)
        config, usage = self.make_run_config(turn), served_usage()
        stored = bool(self._run_options.keys() & {"previous_response_id", "conversation_id"})
        run_usage = None if usage is None else RunUsage(usage, config, stored=stored)
        shown = (self.tool_title, self.handoff_title, self._mcp.connected, run_usage)
        journal = turn_journal()
        with observed_run(agent.name, turn.thread.id) as runs:
            hooks = ObservedHooks(runs, config, *shown) if runs else ToolStepHooks(*shown)
            if journal is not None and journal.is_kept:
                steps = RunJournal(journal, hooks, self.tool_effect)
                agent, config = steps.agent(agent), steps.config(config)
            with ExitStack() as entered:
                for run in runs:
                    entered.enter_context(run.entered())
                result = Runner.run_streamed(
                    agent,
                    given,
                    context=context,
                    run_config=config,
                    session=turn.memory,
                    hooks=hooks,
                    **self._run_options,
                )
            events = stream_agent_response(context, result, converter=self.make_converter(agent))
            try:
                async with aclosing(events):
                    async for event in events:
                        yield event
            except Exception:
                if journal is not None and journal.unsure is not None:
                    # The user is told by the error, and the model with the next message.
                    yield ThreadItemDoneEvent(
                        item=HiddenContextItem(
                            id=context.generate_id("message"),
                            thread_id=turn.thread.id,
                            content=_UNSURE.format(" and ".join(journal.unsure.names)),
                        )
                    )
                raise
        if names := _awaiting_approval(result):
            yield NoticeEvent(level="warning", message=self.pause_text(names))


def _nothing(item: WorkflowItem) -> None:
    """Stands for items that the model is not given."""


async def _take_back_outputs(session: Session, given: list[TResponseInputItem]) -> None:
    """Takes from a session what stands for the outputs of the page's tools, which ``given`` has now."""
    calls = {item.get("call_id") for item in given}
    taken: list[TResponseInputItem] = []
    while (newest := await session.pop_item()) is not None:
        if newest.get("type") not in {"function_call", "function_call_output"}:
            taken.append(newest)
            break
        if newest.get("call_id") not in calls:
            taken.append(newest)
    if taken:
        await session.add_items(taken[::-1])


def _awaiting_approval(result: RunResultStreaming) -> list[str]:
    """Returns the names of the tools whose approval a run waits for."""
    asked: list[Any] = [*(getattr(result, "interruptions", None) or ())]
    asked += [item for item in result.new_items if item.type == "mcp_approval_request_item"]
    names = [getattr(entry, "tool_name", None) or getattr(entry.raw_item, "name", None) for entry in asked]
    return list(dict.fromkeys(str(name or "A tool") for name in names))
