"""The usage of a run of the Agents SDK: reserved before each call of a model, recorded after it."""

from __future__ import annotations

from typing import Any

from agents import Agent, AgentOutputSchema, AgentOutputSchemaBase, FunctionTool, Model, RunConfig
from agents.models import get_default_model

from chatkit.frameworks.usage import input_bound, usage_of
from chatkit.server.turns.usage import ModelCall, TurnUsage
from chatkit.usage import Usage

__all__ = ["RunUsage", "model_name", "most_output"]


class RunUsage:
    """The usage of one run, whose calls of models follow one another.

    Args:
        turn: That of the turn.
        config: The configuration of the run.
        stored: Whether the provider keeps what was said before, so that the input does not tell its tokens.
    """

    def __init__(self, turn: TurnUsage, config: RunConfig, *, stored: bool = False) -> None:
        self._turn = turn
        self._config = config
        self._stored = stored
        self._call: ModelCall | None = None
        self._made = 0

    async def begin(self, context: Any, agent: Agent[Any], instructions: str | None, given: Any) -> None:
        """Reserves what a call uses at most.

        Args:
            context: The run's context, by which tools are found.
            agent: The agent whose model is called.
            instructions: What the model is told of its part.
            given: The input.
        """
        most = None
        if self._turn.bounded and not self._stored:
            most = await self._most_input(context, agent, instructions, given)
        self._call = await self._turn.begin(
            model_name(agent, self._config),
            input_tokens=most,
            output_tokens=most_output(agent, self._config),
        )

    async def end(self, response: Any) -> None:
        """Records what a call has used.

        Args:
            response: The model's response.
        """
        call, self._call = self._call, None
        if call is None:
            return
        call.usage = usage_of(call.model, response.usage)
        self._note(call.usage)
        await self._turn.end(call)

    async def end_again(self, agent: Agent[Any], response: Any) -> None:
        """Records what a call of an earlier attempt at the turn has used, where that died before it did.

        Args:
            agent: The agent whose model was called.
            response: The model's response.
        """
        usage = usage_of(model_name(agent, self._config), response.usage)
        self._note(usage)
        await self._turn.record_again(usage)

    def _note(self, usage: Usage | None) -> None:
        # Thoughts that the provider keeps are given to the next call by their id alone.
        self._made += 0 if usage is None else usage.output_tokens

    async def _most_input(
        self, context: Any, agent: Agent[Any], instructions: str | None, given: Any
    ) -> int | None:
        tools = await agent.get_all_tools(context)
        # Agents that are tools call models of their own, and what runs at the provider reads what nobody here knows.
        if agent.prompt is not None or not all(
            isinstance(tool, FunctionTool) and not getattr(tool, "_is_agent_tool", False) for tool in tools
        ):
            return None
        schemas: list[Any] = [
            [tool.name, tool.description, tool.params_json_schema]
            for tool in tools
            if isinstance(tool, FunctionTool)
        ]
        for handoff in agent.handoffs:
            if isinstance(handoff, Agent):
                schemas.append(
                    ["transfer_to", handoff.name, handoff.name, handoff.handoff_description, " " * 256]
                )
            else:
                schemas.append([handoff.tool_name, handoff.tool_description, handoff.input_json_schema])
        output = agent.output_type
        if isinstance(output, AgentOutputSchemaBase):
            schemas.append([output.name(), output.is_plain_text() or output.json_schema()])
        elif output is not None and output is not str:
            schemas.append(AgentOutputSchema(output, strict_json_schema=False).json_schema())
        bound = input_bound(instructions, given, schemas)
        return None if bound is None else bound + self._made


def model_name(agent: Agent[Any], config: RunConfig) -> str:
    """Returns the name of the model that an agent's run calls.

    Args:
        agent: The agent.
        config: The configuration of the run.
    """
    model = config.model or agent.model
    model = getattr(model, "unwrapped", model)
    if isinstance(model, Model):
        name = getattr(model, "model", None)
        return name if isinstance(name, str) else type(model).__name__
    return model or get_default_model()


def most_output(agent: Agent[Any], config: RunConfig) -> int | None:
    """Returns the most tokens that the model may make, None where nothing bounds them.

    Args:
        agent: The agent.
        config: The configuration of the run.
    """
    return agent.model_settings.resolve(config.model_settings).max_tokens
