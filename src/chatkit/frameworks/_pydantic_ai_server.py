"""Serves an agent of Pydantic AI as it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

from pydantic_ai import Agent, BinaryContent
from pydantic_ai.capabilities import Instrumentation
from pydantic_ai.messages import ModelMessage, UserContent
from pydantic_ai.models import Model, infer_model
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.settings import ModelSettings
from typing_extensions import TypeVar

from chatkit._observers import model_tracing
from chatkit.files.base import AttachmentStore
from chatkit.frameworks._pydantic_ai_history import to_message_history
from chatkit.frameworks._pydantic_ai_run import output_text, stream_run
from chatkit.frameworks._pydantic_ai_usage import UsageCapability, usage_in
from chatkit.frameworks.agent_server import AgentTurn, BaseAgentServer
from chatkit.frameworks.attachments import attachment_kind, attachment_text, media_type
from chatkit.frameworks.failures import find_missing_key
from chatkit.frameworks.titles import TITLE_INSTRUCTIONS, tidied
from chatkit.frameworks.usage import kept_call, kept_usage, output_bound, served_usage
from chatkit.store.base import Store
from chatkit.types import (
    Attachment,
    FileStore,
    ThreadStreamEvent,
    UserMessageTagContent,
    WorkflowItem,
)
from chatkit.types import Store as SimpleStore

__all__ = ["AgentServer"]

TContext = TypeVar("TContext", default=Any)


class AgentServer(BaseAgentServer[TContext]):
    """Serves an agent of Pydantic AI. Each part is a method, which a subclass can override.

    External tools are carried out by the page, if the agent's output may be ``DeferredToolRequests``.

    Args:
        agent: The agent.
        store: As for :class:`chatkit.frameworks.BaseAgentServer`.
        attachment_store: Keeps attached files; None takes none.
        deps: What tools get; override :meth:`make_deps` for one that depends on the user.
        title_model: Makes titles; None is the agent's model.
        run_options: More arguments of ``agent.run_stream_events``, such as ``usage_limits``.
        options: Options of :class:`chatkit.frameworks.BaseAgentServer`.
    """

    def __init__(
        self,
        agent: Agent[Any, Any],
        store: Store[TContext] | SimpleStore | None = None,
        attachment_store: AttachmentStore[TContext] | FileStore | None = None,
        *,
        deps: Any = None,
        title_model: str | Model | None = None,
        run_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(store, attachment_store, **options)
        self.agent = agent
        self.deps = deps
        self.title_model = title_model
        self._run_options = run_options or {}

    # What may be overridden.

    async def agent_of(self, turn: AgentTurn[TContext]) -> Agent[Any, Any]:
        """Returns the agent that is to answer."""
        return self.agent

    async def make_deps(self, turn: AgentTurn[TContext]) -> Any:
        """Returns what the agent's tools get as ``deps``."""
        return self.deps

    async def make_history(self, turn: AgentTurn[TContext]) -> list[ModelMessage]:
        """Returns what the agent is given: the items of the turn, with their files and what is mentioned in them."""

        def convert(attachment: Attachment) -> UserContent:
            content = turn.contents.get(attachment.id)
            if content is None or attachment_kind(attachment) == "text":
                return attachment_text(attachment, content)
            return BinaryContent(content, media_type=media_type(attachment))

        # Steps are for the user: the answer says what came of them.
        items = [item for item in turn.items if not isinstance(item, WorkflowItem)]
        return await to_message_history(items, attachment_to_content=convert, tag_to_content=self.mention)

    def mention(self, tag: UserMessageTagContent) -> UserContent:
        """Returns what the model is told of something that the user mentioned: its name and its data."""
        return f"{tag.text}: {tag.data}"

    def output_text(self, output: Any) -> str | None:
        """Returns what is said of a result that the model did not say itself; None to say nothing."""
        return output_text(output)

    async def make_title(self, text: str, turn: AgentTurn[TContext]) -> str | None:
        """Returns a title by the title model, or by the model of the agent."""
        titler = Agent(instructions=TITLE_INSTRUCTIONS)
        model = self.title_model or self.picked_model(turn) or self.agent.model
        usage = kept_usage()
        if usage is None or model is None:
            return tidied((await titler.run(text, model=model)).output)
        model = infer_model(model)
        # Within a budget a title is bounded as an answer is, which the model is known to take.
        most = output_bound(self._settings())
        settings = ModelSettings(max_tokens=most) if most is not None and usage.bounded else None
        given = [TITLE_INSTRUCTIONS, text]
        async with kept_call(model.model_name, given, most, step="title") as call:
            run = await titler.run(text, model=model, model_settings=settings)
            if call is not None:
                call.usage = usage_in(call.model, run.usage)
        return tidied(run.output)

    def _settings(self) -> dict[str, Any]:
        given: list[Any] = [self.agent.model_settings, self._run_options.get("model_settings")]
        # One of them may be a function, which is for a run alone.
        own, more = (cast("dict[str, Any]", each) if isinstance(each, dict) else {} for each in given)
        return {**own, **more}

    def missing_key(self) -> str | None:
        """Returns the environment variable that the provider of the agent's model asks for when it is made."""
        if not isinstance(self.agent.model, str):
            return None
        try:
            infer_model(self.agent.model)
        except Exception as error:  # noqa: BLE001 -- what else is wrong is told where the agent is run
            return find_missing_key(error)
        return None

    # The answer.

    async def answer(self, turn: AgentTurn[TContext]) -> AsyncGenerator[ThreadStreamEvent, None]:
        """Runs the agent."""
        agent, options, usage = await self.agent_of(turn), dict(self._run_options), served_usage()
        if usage is not None:
            options["capabilities"] = [*(options.get("capabilities") or ()), UsageCapability(usage)]
        run = agent.run_stream_events(
            message_history=await self.make_history(turn),
            deps=await self.make_deps(turn),
            model=self.picked_model(turn),
            **_traced(agent, options),
        )
        events = stream_run(
            run,
            thread=turn.thread,
            store=self._chatkit_store(),
            context=turn.context,
            tool_title=self.tool_title,
            output_text=self.output_text,
            pause_text=self.pause_text,
        )
        async for event in events:
            yield event


def _traced(agent: Agent[Any, Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the options of a run that is traced where ours are, unless the application has said how itself."""
    tracing = model_tracing()
    if tracing is None or agent.instrument or getattr(Agent, "_instrument_default", False):
        return options
    settings = InstrumentationSettings(
        tracer_provider=tracing.provider,
        include_content=tracing.content,
        include_binary_content=False,
    )
    return {**options, "capabilities": [*options.get("capabilities", ()), Instrumentation(settings=settings)]}
