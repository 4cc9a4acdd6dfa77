"""The tools of a run as steps of a workflow, and its usage: by hooks; tools that are hosted by a converter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from agents import FunctionTool, RunHooks

from chatkit.agents.context import AgentContext
from chatkit.agents.response_converter import ResponseStreamConverter
from chatkit.agents.run_usage import RunUsage
from chatkit.frameworks.titles import tool_title
from chatkit.server.turns.journal import Journal
from chatkit.types import (
    CustomTask,
    FileSource,
    FileTask,
    SearchTask,
    Task,
    ThreadItemReplacedEvent,
    URLSource,
    WorkflowItem,
)

__all__ = ["HostedToolConverter", "ToolStepHooks", "call_id_of"]


class HostedToolConverter(ResponseStreamConverter):
    """Shows what the model's API does for the model: searches, code, tools of MCP servers.

    Args:
        tool_title: Returns what is shown of a tool of an MCP server, None to show nothing.
        options: Those of :class:`ResponseStreamConverter`.
    """

    def __init__(self, tool_title: Callable[[str], str | None] = tool_title, **options: Any) -> None:
        super().__init__(**options)
        self._tool_title = tool_title

    def hosted_tool_to_task(self, call: Any, *, is_done: bool) -> Task | None:
        """Returns the step of a web search, a file search, code that runs, or a tool of an MCP server."""
        status: Any = "complete" if is_done else "loading"
        match call.type:
            case "web_search_call":
                return _search(call, status)
            case "file_search_call":
                names = dict.fromkeys(_named(getattr(call, "results", None)))
                return FileTask(
                    title="Searching files: " + ", ".join(queries)
                    if (queries := getattr(call, "queries", None))
                    else "Searching files",
                    sources=[FileSource(title=name, filename=name) for name in names],
                    status_indicator=status,
                )
            case "code_interpreter_call":
                code = getattr(call, "code", None)
                content = f"```python\n{code}\n```" if code else None
                return CustomTask(title="Running code", content=content, status_indicator=status)
            case "mcp_call":
                title = self._tool_title(call.name)
                failed = is_done and getattr(call, "error", None) is not None
                return (
                    None
                    if title is None
                    else CustomTask(title=title, status_indicator="none" if failed else status)
                )
            case _:
                return None


def _search(call: Any, status: Any) -> SearchTask:
    action: Any = getattr(call, "action", None)
    query = getattr(action, "query", None)
    queries = getattr(action, "queries", None) or ([query] if query else [])
    urls = [source.url for source in getattr(action, "sources", None) or () if getattr(source, "url", None)]
    if getattr(action, "url", None):
        urls.append(action.url)
    return SearchTask(
        title=None if queries else "Searching the web",
        title_query=queries[0] if queries else None,
        queries=list(queries),
        sources=[URLSource(title=url, url=url) for url in dict.fromkeys(urls)],
        status_indicator=status,
    )


def _named(results: Any) -> list[str]:
    return [result.filename for result in results or () if getattr(result, "filename", None)]


class ToolStepHooks(RunHooks[Any]):
    """Shows the tools of an agent, and handoffs, as steps while the run goes on, and sees to its usage.

    Args:
        tool_title: Returns what the user is shown of a tool of that name; None to show nothing.
        handoff_title: The same for a handoff to the agent of that name.
        before_handoff: Is awaited before the agent that takes over runs, with that agent.
        usage: Reserves and records what the run uses; None does neither.

    Attributes:
        journal: That of the turn, if calls are steps of it: then it is told by ``ask_model`` or ``model_replayed``
            whether a model is asked.
    """

    def __init__(
        self,
        tool_title: Callable[[str], str | None],
        handoff_title: Callable[[str], str | None],
        before_handoff: Callable[[Any], Awaitable[object]],
        usage: RunUsage | None = None,
    ) -> None:
        self._tool_title = tool_title
        self._handoff_title = handoff_title
        self._before_handoff = before_handoff
        self._usage = usage
        self.journal: Journal | None = None
        self._asked: tuple[Any, ...] | None = None
        self._places: dict[object, tuple[WorkflowItem, int, CustomTask]] = {}

    async def on_llm_start(
        self, context: Any, agent: Any, system_prompt: str | None, input_items: Any
    ) -> None:
        """Notes what the model is to be asked."""
        self._asked = (context, agent, system_prompt, input_items)
        if self.journal is None:
            await self.ask_model()

    async def ask_model(self) -> None:
        """Reserves what the call of the model uses at most, once."""
        asked, self._asked = self._asked, None
        if asked is not None:
            await self.model_asked(*asked)

    async def model_asked(
        self, context: Any, agent: Any, system_prompt: str | None, input_items: Any
    ) -> None:
        """Reserves what the call of the model uses at most."""
        if self._usage is not None:
            await self._usage.begin(context, agent, system_prompt, input_items)

    async def model_replayed(self, response: Any) -> None:
        """Notes that an earlier attempt at the turn has asked the model, and used what that uses."""
        asked, self._asked = self._asked, None
        if self._usage is not None and asked is not None:
            await self._usage.end_again(asked[1], response)

    def tool_replayed(self, context: Any, name: str) -> None:
        """Notes that an earlier attempt at the turn has called the tool."""

    async def on_llm_end(self, context: Any, agent: Any, response: Any) -> None:
        """Records what the call has used."""
        if self._usage is not None:
            await self._usage.end(response)

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        """Shows the tool; one that the SDK carries out by itself is noted, for it must not run twice."""
        if self.journal is not None and not isinstance(tool, FunctionTool):
            await self.journal.begin("tool", tool.name, str(call_id_of(context, tool.name)), "once")
        title = self._tool_title(tool.name)
        chat: object = context.context
        if title is None or not isinstance(chat, AgentContext):
            return
        task = CustomTask(title=title, status_indicator="loading")
        await chat.add_workflow_task(task)
        item = chat.workflow_item
        if item is not None:
            self._places[call_id_of(context, tool.name)] = item, len(item.workflow.tasks) - 1, task

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: object) -> None:
        """Shows that the tool is done."""
        place = self._places.pop(call_id_of(context, tool.name), None)
        chat: object = context.context
        if place is None or not isinstance(chat, AgentContext):
            return
        item, index, task = place
        done = task.model_copy(update={"status_indicator": "complete"})
        if chat.workflow_item is not None and chat.workflow_item.id == item.id:
            await chat.update_workflow_task(done, index)
        elif item.workflow.summary is not None:
            # The tool has shown something, which ended the workflow.
            tasks = [*item.workflow.tasks]
            tasks[index] = done
            item.workflow.tasks = tasks
            await chat.stream(ThreadItemReplacedEvent(item=item.model_copy(deep=True)))

    async def on_handoff(self, context: Any, from_agent: Any, to_agent: Any) -> None:
        """Shows the handoff."""
        title = self._handoff_title(to_agent.name)
        chat: object = context.context
        if title is not None and isinstance(chat, AgentContext):
            await chat.add_workflow_task(CustomTask(title=title, status_indicator="complete"))
        await self._before_handoff(to_agent)


def call_id_of(context: Any, name: str) -> object:
    """Returns what tells a call of a tool from others of the run."""
    return getattr(context, "tool_call_id", None) or name
