"""A run of Pydantic AI as steps, and as thread stream events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias, cast

import pydantic_core
from pydantic_ai import AgentRunResultEvent, DeferredToolRequests
from pydantic_ai.messages import (
    FilePart,
    FinalResultEvent,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    ModelRequest,
    ModelResponse,
    NativeToolCallPart,
    NativeToolReturnPart,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolReturnPart,
)

from chatkit.frameworks._pydantic_ai_usage import usage_in
from chatkit.frameworks.step_converter import stream_steps
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
from chatkit.frameworks.titles import pause_text, tool_title
from chatkit.frameworks.usage import streamed_usage
from chatkit.ids import new_id
from chatkit.server.tool_calls import AnsweredCall, answered_calls_item
from chatkit.store.base import Store
from chatkit.types import (
    Annotation,
    ClientToolCallItem,
    FileSource,
    GeneratedImage,
    GeneratedImageItem,
    NoticeEvent,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    URLSource,
)
from chatkit.types import Store as SimpleStore

__all__ = ["output_text", "run_steps", "stream_run"]

Run: TypeAlias = AbstractAsyncContextManager[Any]
ToolTitle: TypeAlias = Callable[[str], str | None]
OutputText: TypeAlias = Callable[[Any], str | None]
PauseText: TypeAlias = Callable[[list[str]], str]


def output_text(output: Any) -> str | None:
    """Returns a text as it is, nothing for None, and JSON for all else."""
    if output is None or isinstance(output, str):
        return output
    return pydantic_core.to_json(output, fallback=str).decode()


def stream_run(
    run: Run,
    *,
    thread: ThreadMetadata,
    store: Store[Any] | SimpleStore,
    context: Any,
    tool_title: ToolTitle = tool_title,
    output_text: OutputText = output_text,
    pause_text: PauseText = pause_text,
    think_tags: bool = True,
) -> AsyncGenerator[ThreadStreamEvent, None]:
    """Returns the events of a run, as they come; when it is left early, the run is stopped.

    Args:
        run: What ``agent.run_stream_events(...)`` returned, not entered.
        thread: The thread, as ``respond()`` got it.
        store: The server's store.
        context: The request's context.
        tool_title: Returns what the user is shown while a tool of that name runs; None to show nothing.
        output_text: Returns what is said of a result that the model did not say itself, such as that of an output
            type; None to say nothing.
        pause_text: Returns what the user is told where tools of these names need an approval.
        think_tags: Whether text between ``<think>`` and ``</think>`` is shown as thoughts.

    Raises:
        AgentRunError: Whatever the run raises.
    """
    steps = run_steps(run, tool_title=tool_title, output_text=output_text, pause_text=pause_text)
    return stream_steps(steps, thread=thread, store=store, context=context, think_tags=think_tags)


async def run_steps(
    run: Run,
    *,
    tool_title: ToolTitle = tool_title,
    output_text: OutputText = output_text,
    pause_text: PauseText = pause_text,
) -> AsyncGenerator[Step, None]:
    """Yields a run as steps, for those who want to add steps of their own.

    Args:
        run: As in :func:`stream_run`.
        tool_title: As in :func:`stream_run`.
        output_text: As in :func:`stream_run`.
        pause_text: As in :func:`stream_run`.
    """
    is_said = False
    async with run as events:
        async for event in events:
            match event:
                case PartStartEvent(part=part):
                    for step in _part_began(part, tool_title):
                        yield step
                case PartDeltaEvent(delta=TextPartDelta() as delta):
                    yield TextStep(delta.content_delta)
                    for step in _citations(delta, "citations_delta"):
                        yield step
                case PartDeltaEvent(delta=ThinkingPartDelta(content_delta=str(text))):
                    yield ThoughtStep(text)
                case PartEndEvent(part=TextPart(), next_part_kind=kind) if kind != "text":
                    yield TextEndStep()
                case PartEndEvent(part=ThinkingPart()):
                    yield ThoughtEndStep()
                case FunctionToolCallEvent(part=call):
                    if (title := tool_title(call.tool_name)) is not None:
                        yield ToolStep(call.tool_call_id, title)
                case FunctionToolResultEvent(part=result):
                    yield ToolEndStep(result.tool_call_id, failed=_failed(result))
                case FinalResultEvent(tool_name=name):
                    is_said = name is None
                case AgentRunResultEvent():
                    result = cast("Any", event).result
                    output = result.output
                    await _record(result.new_messages())
                    if isinstance(output, DeferredToolRequests):
                        for step in _deferred(output, result.new_messages(), pause_text):
                            yield step
                        return
                    text = None if is_said else output_text(output)
                    if text:
                        yield TextStep(text)
                case _:
                    pass


async def _record(messages: list[Any]) -> None:
    """Records what the calls of models in a run have used, where its server does not."""
    turn = streamed_usage()
    for message in messages if turn is not None else ():
        usage = (
            usage_in(message.model_name or "", message.usage) if isinstance(message, ModelResponse) else None
        )
        if turn is not None and usage is not None:
            await turn.record(usage)


def _deferred(requests: DeferredToolRequests, messages: list[Any], pause_text: PauseText) -> list[Step]:
    """Returns the calls that the page is to carry out, and a notice where an approval is needed."""
    steps: list[Step] = []
    if requests.approvals:
        names = dict.fromkeys(call.tool_name for call in requests.approvals)
        steps.append(NoticeEvent(level="warning", message=pause_text([*names])))
    if not requests.calls:
        return steps
    answered = _answered(messages)
    if answered:
        hidden = answered_calls_item(new_id("shc"), "", answered)
        steps.append(ThreadItemDoneEvent(item=hidden))
    for call in requests.calls:
        asked = ClientToolCallItem(
            id=new_id("ctc"),
            call_id=call.tool_call_id,
            name=call.tool_name,
            arguments=call.args_as_dict(),
        )
        steps.append(ThreadItemDoneEvent(item=asked))
    return steps


def _answered(messages: list[Any]) -> list[AnsweredCall]:
    """Returns the calls of the last response that the agent's own tools answered, for the model when it goes on."""
    if not messages or not isinstance(messages[-1], ModelRequest):
        return []
    outputs = {part.tool_call_id: part for part in messages[-1].parts if isinstance(part, ToolReturnPart)}
    return [
        AnsweredCall(
            call_id=part.tool_call_id,
            name=part.tool_name,
            arguments=part.args_as_json_str(),
            output=outputs[part.tool_call_id].model_response_str(),
        )
        for part in messages[-2].parts
        if isinstance(part, ToolCallPart) and part.tool_call_id in outputs
    ]


def _part_began(part: Any, tool_title: ToolTitle) -> list[Step]:
    match part:
        case TextPart(content=text):
            return [TextStep(text), *_citations(part, "citations")]
        case ThinkingPart(content=text):
            return [ThoughtStep(text)]
        case NativeToolCallPart():
            title = tool_title(part.tool_name)
            return [] if title is None else [ToolStep(part.tool_call_id, title)]
        case NativeToolReturnPart():
            return [ToolEndStep(part.tool_call_id, failed=_failed(part))]
        case FilePart() if part.content.is_image:
            image = GeneratedImage(id=part.id or new_id("img"), url=part.content.data_uri)
            return [ThreadItemDoneEvent(item=GeneratedImageItem(id=new_id("msg"), image=image))]
        case _:
            return []


def _failed(result: Any) -> bool:
    return getattr(result, "outcome", "success") != "success"


def _citations(part: TextPart | TextPartDelta, name: str) -> list[Step]:
    # Older versions have none.
    citations: list[Any] = getattr(part, name, None) or []
    return [
        CitationStep(Annotation(source=source, index=None))
        for citation in citations
        for source in _sources(citation)
    ]


def _sources(citation: Any) -> list[URLSource | FileSource]:
    found: list[URLSource | FileSource] = []
    for source in citation.sources:
        if source.kind == "web":
            found.append(URLSource(title=source.title or source.url, url=source.url))
        elif name := source.title or source.document_id:
            found.append(FileSource(title=name, filename=name))
    return found
