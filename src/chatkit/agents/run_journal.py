"""The journal of a run of the Agents SDK: calls of its models and tools are steps of the turn.

The application's agents, models and tools stay as they are: the run gets copies.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from functools import wraps
from typing import Any, cast

from agents import (
    Agent,
    FunctionTool,
    Handoff,
    HostedMCPTool,
    Model,
    ModelProvider,
    ModelResponse,
    RunConfig,
    Tool,
)

from chatkit.agents.context import AgentContext, ClientToolCall
from chatkit.agents.recorded_response import dump_response, load_response, response_events
from chatkit.agents.tool_record import RecordedTool, ToolRecord, current_tool
from chatkit.agents.tool_steps import ToolStepHooks
from chatkit.server.turns.journal import Journal, as_json, running_step
from chatkit.store.journal import Effect

__all__ = ["RunJournal", "usual_effect"]


def usual_effect(tool: Tool) -> Effect:
    """Returns what it means that a tool runs again, as far as the tool says: a tool of an MCP server may."""
    found: Any = getattr(tool, "mcp_annotations", None)
    # Their names in Python differ by version.
    hints: dict[str, Any] = {} if found is None else found.model_dump(by_alias=True)
    says = hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True
    return "repeatable" if says else "once"


class RunJournal:
    """Makes the steps of a run steps of its turn.

    Args:
        journal: That of the turn.
        hooks: Of the run: they are told what is asked and called, and what is taken from the journal.
        effect_of: Returns what it means that a tool runs again.
    """

    def __init__(self, journal: Journal, hooks: ToolStepHooks, effect_of: Callable[[Tool], Effect]) -> None:
        self._journal = journal
        self._hooks = hooks
        self._effect_of = effect_of
        # With the originals, whose ids are other objects' once they are gone.
        self._agents: dict[int, tuple[Any, Agent[Any]]] = {}
        self._tools: dict[int, tuple[Any, FunctionTool]] = {}
        hooks.journal = journal

    def config(self, config: RunConfig) -> RunConfig:
        """Returns the configuration of a run whose models are journaled."""
        model = config.model
        return replace(
            config,
            model=_JournaledModel(model, self._journal, self._hooks) if isinstance(model, Model) else model,
            model_provider=_JournaledProvider(config.model_provider, self._journal, self._hooks),
        )

    def agent(self, agent: Agent[Any]) -> Agent[Any]:
        """Returns a copy of an agent, and of those that it hands off to, whose tools are journaled."""
        known = self._agents.get(id(agent))
        if known is not None:
            return known[1]
        made = agent.clone()
        self._agents[id(agent)] = self._agents[id(made)] = agent, made
        if isinstance(agent.model, Model):
            made.model = _JournaledModel(agent.model, self._journal, self._hooks)
        made.handoffs = [
            self.agent(each) if isinstance(each, Agent) else self._handoff(each) for each in agent.handoffs
        ]
        made.tools = [self._tool(tool) for tool in agent.tools]
        # Here tools of MCP servers come in, too.
        all_tools = made.get_all_tools

        async def get_all_tools(run_context: Any) -> list[Tool]:
            return [self._tool(tool) for tool in await all_tools(run_context)]

        cast("Any", made).get_all_tools = get_all_tools
        return made

    def _handoff(self, handoff: Handoff[Any, Any]) -> Handoff[Any, Any]:
        made, invoke = copy.copy(handoff), handoff.on_invoke_handoff

        async def on_invoke_handoff(context: Any, arguments: str) -> Any:
            return self.agent(await invoke(context, arguments))

        made.on_invoke_handoff = on_invoke_handoff
        return made

    def _tool(self, tool: Tool) -> Tool:
        if not isinstance(tool, FunctionTool):
            return tool
        known = self._tools.get(id(tool))
        if known is not None:
            return known[1]
        made = copy.copy(tool)
        invoke, effect = made.on_invoke_tool, self._effect_of(tool)

        # The SDK looks at what the tool itself takes.
        @wraps(invoke)
        async def on_invoke_tool(context: Any, arguments: str) -> Any:
            if running_step.get() is not None:
                return await invoke(context, arguments)
            return await self._invoke(tool, effect, invoke, context, arguments)

        made.on_invoke_tool = on_invoke_tool
        self._tools[id(tool)] = self._tools[id(made)] = tool, made
        return made

    async def _invoke(
        self, tool: FunctionTool, effect: Effect, invoke: Any, context: Any, arguments: str
    ) -> Any:
        name = tool.name
        step = await self._journal.begin("tool", name, _parsed(arguments), effect, load=RecordedTool)
        chat: object = context.context
        if step.replayed:
            self._hooks.tool_replayed(context, name)
            found: RecordedTool = step.value
            if isinstance(chat, AgentContext):
                for event in found.told:
                    await chat.stream(event)
                if found.page_call is not None:
                    chat.client_tool_call = ClientToolCall(**found.page_call)
            return found.output
        # The tools of an agent that is a tool would all get the same key.
        step.is_one_call = not getattr(tool, "_is_agent_tool", False)
        record = ToolRecord()
        entered = current_tool.set(record)
        try:
            with step.running():
                output = await invoke(context, arguments)
        except Exception as error:
            await step.fail(error)
            raise
        finally:
            current_tool.reset(entered)
        step.is_kept = record.is_whole
        await step.end(record.dump(output))
        return output


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}", parse_constant=_refused)
    except (ValueError, RecursionError):
        return arguments


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


class _JournaledProvider(ModelProvider):
    """Finds the models of a run by name."""

    def __init__(self, provider: ModelProvider, journal: Journal, hooks: ToolStepHooks) -> None:
        self._provider = provider
        self._journal = journal
        self._hooks = hooks

    def get_model(self, model_name: str | None) -> Model:
        return _JournaledModel(self._provider.get_model(model_name), self._journal, self._hooks)


class _JournaledModel(Model):
    """A model whose streamed responses are steps of the turn. All else is the model's own.

    Attributes:
        unwrapped: The model.
    """

    def __init__(self, model: Model, journal: Journal, hooks: ToolStepHooks) -> None:
        self.unwrapped = model
        self._journal = journal
        self._hooks = hooks
        # What the base class has would hide the model's own, such as advice on retries.
        for name in vars(Model).keys() - vars(_JournaledModel).keys():
            if callable(getattr(model, name, None)):
                setattr(self, name, getattr(model, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unwrapped, name)

    async def get_response(self, *arguments: Any, **rest: Any) -> ModelResponse:
        return await self.unwrapped.get_response(*arguments, **rest)

    def stream_response(self, *arguments: Any, **rest: Any) -> AsyncIterator[Any]:
        if running_step.get() is not None:
            # Of an agent that is a tool.
            return self.unwrapped.stream_response(*arguments, **rest)
        return self._stream(arguments, rest)

    async def _stream(self, arguments: tuple[Any, ...], rest: dict[str, Any]) -> AsyncGenerator[Any, None]:
        _, given, _, tools, output_schema, handoffs, *_ = arguments
        # Not the instructions, which may say the time.
        asked = {
            "input": given,
            "tools": sorted(_name_of(tool) for tool in (*tools, *handoffs)),
            "output": None if output_schema is None else output_schema.name(),
            "after": rest.get("previous_response_id"),
        }
        # What a server of tools does for the model may have an effect.
        effect: Effect = "once" if any(isinstance(tool, HostedMCPTool) for tool in tools) else "repeatable"
        name = getattr(self.unwrapped, "model", None)
        step = await self._journal.begin(
            "model",
            name if isinstance(name, str) else type(self.unwrapped).__name__,
            # Once through it: files among the input may be large.
            hashlib.sha256(json.dumps(asked, sort_keys=True, default=_plain).encode()).hexdigest(),
            effect,
            load=load_response,
        )
        if step.replayed:
            await self._hooks.model_replayed(step.value)
            for event in response_events(step.value):
                yield event
            return
        await self._hooks.ask_model()
        output: list[Any] = []
        events = self.unwrapped.stream_response(*arguments, **rest)
        try:
            async for event in events:
                if event.type == "response.output_item.done":
                    output.append(event.item)
                elif event.type == "response.completed":
                    # Before anything is done about it.
                    told = dump_response(event.response, output)
                    await step.end(as_json(told, "The response of a model"))
                yield event
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()


def _name_of(tool: Any) -> str:
    return str(getattr(tool, "name", None) or getattr(tool, "tool_name", None) or type(tool).__name__)


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json", exclude_none=True) if callable(dump) else str(value)
