"""Answers from an agent of any framework.

An adapter describes what its agent does in steps, and :func:`stream_steps` makes messages and workflows of them::

    async def steps(run):
        async for chunk in run:
            yield TextStep(chunk.text)


    async def respond(self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context):
        async for event in stream_steps(steps(run), thread=thread, store=self.store, context=context):
            yield event

``chatkit.frameworks.pydantic_ai`` is such an adapter. The OpenAI Agents SDK has helpers of its own, ``chatkit.agents``.

``FunctionServer`` serves an asynchronous generator function as it is, and ``BaseAgentServer`` is what serves an agent
of any framework.
"""

from chatkit.frameworks.agent_server import AgentTurn, BaseAgentServer
from chatkit.frameworks.failures import Failure
from chatkit.frameworks.function_server import FunctionServer
from chatkit.frameworks.step_converter import StepConverter, stream_steps
from chatkit.frameworks.steps import (
    CitationStep,
    Step,
    TextEndStep,
    TextStep,
    ThoughtEndStep,
    ThoughtStep,
    ToolEndStep,
    ToolStep,
)
from chatkit.frameworks.titles import first_words

__all__ = [
    "AgentTurn",
    "BaseAgentServer",
    "CitationStep",
    "Failure",
    "FunctionServer",
    "Step",
    "StepConverter",
    "TextEndStep",
    "TextStep",
    "ThoughtEndStep",
    "ThoughtStep",
    "ToolEndStep",
    "ToolStep",
    "first_words",
    "stream_steps",
]
