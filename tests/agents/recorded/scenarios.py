"""Streams of the Agents SDK, by name; runs with whichever package provides ``chatkit``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from agents import InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered
from agents.guardrail import GuardrailFunctionOutput, InputGuardrailResult, OutputGuardrailResult

from chatkit.agents import AgentContext, ClientToolCall, ResponseStreamConverter
from chatkit.types import (
    Annotation,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ClientEffectEvent,
    ClientToolCallItem,
    CustomSummary,
    CustomTask,
    DurationSummary,
    EndOfTurnItem,
    ErrorEvent,
    FileSource,
    HiddenContextItem,
    NoticeEvent,
    ProgressUpdateEvent,
    SearchTask,
    TaskItem,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    URLSource,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import Card, Markdown, Text
from tests.agents.recorded.application import play, tool_called

NOON = datetime(2026, 1, 1, 12)  # noqa: DTZ001 -- as openai-chatkit has it
FILE = {"type": "file_citation", "file_id": "file_1", "filename": "a.pdf", "index": 3}
URL = {
    "type": "url_citation",
    "url": "https://example.com/a",
    "title": "Example",
    "start_index": 1,
    "end_index": 4,
}
CONTAINER = {
    "type": "container_file_citation",
    "container_id": "cntr_1",
    "file_id": "cfile_1",
    "filename": "b.csv",
    "start_index": 0,
    "end_index": 2,
}
PATH = {"type": "file_path", "file_id": "file_2", "index": 1}


def text(content: str, *annotations: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": content, "annotations": list(annotations)}


def refusal(content: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": content}


def message(*content: Any, id: str = "msg_1", status: str = "completed") -> dict[str, Any]:
    return {
        "type": "message",
        "id": id,
        "role": "assistant",
        "status": status,
        "content": list(content),
    }


def added(item: Any, index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.added", "item": item, "output_index": index}


def done(item: Any, index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "item": item, "output_index": index}


def part(kind: str, content: Any, id: str = "msg_1", index: int = 0) -> dict[str, Any]:
    return {
        "type": f"response.content_part.{kind}",
        "item_id": id,
        "output_index": 0,
        "content_index": index,
        "part": content,
    }


def delta(content: str, id: str = "msg_1", index: int = 0) -> dict[str, Any]:
    return {
        "type": "response.output_text.delta",
        "item_id": id,
        "output_index": 0,
        "content_index": index,
        "delta": content,
        "logprobs": [],
    }


def text_done(content: str, id: str = "msg_1", index: int = 0) -> dict[str, Any]:
    return {
        "type": "response.output_text.done",
        "item_id": id,
        "output_index": 0,
        "content_index": index,
        "text": content,
        "logprobs": [],
    }


def refused(kind: str, content: str, id: str = "msg_1") -> dict[str, Any]:
    key = "delta" if kind == "delta" else "refusal"
    return {
        "type": f"response.refusal.{kind}",
        "item_id": id,
        "output_index": 0,
        "content_index": 0,
        key: content,
    }


def cited(annotation: Any, index: int = 0, content_index: int = 0, id: str = "msg_1") -> dict[str, Any]:
    return {
        "type": "response.output_text.annotation.added",
        "item_id": id,
        "output_index": 0,
        "content_index": content_index,
        "annotation_index": index,
        "annotation": annotation,
    }


def streamed(*chunks: str, id: str = "msg_1", annotations: Any = ()) -> list[dict[str, Any]]:
    whole = "".join(chunks)
    return [
        added(message(id=id, status="in_progress")),
        part("added", text(""), id),
        *(delta(chunk, id) for chunk in chunks),
        *(cited(annotation, number, id=id) for number, annotation in enumerate(annotations)),
        text_done(whole, id),
        part("done", text(whole, *annotations), id),
        done(message(text(whole, *annotations), id=id)),
    ]


def reasoning(*summary: str, id: str = "rs_1") -> dict[str, Any]:
    return {
        "type": "reasoning",
        "id": id,
        "summary": [{"type": "summary_text", "text": thought} for thought in summary],
    }


def thought_part(kind: str, content: str = "", index: int = 0, id: str = "rs_1") -> dict[str, Any]:
    return {
        "type": f"response.reasoning_summary_part.{kind}",
        "item_id": id,
        "output_index": 0,
        "summary_index": index,
        "part": {"type": "summary_text", "text": content},
    }


def thought(kind: str, content: str, index: int = 0, id: str = "rs_1") -> dict[str, Any]:
    return {
        "type": f"response.reasoning_summary_text.{kind}",
        "item_id": id,
        "output_index": 0,
        "summary_index": index,
        "delta" if kind == "delta" else "text": content,
    }


def thoughts(*summary: str, id: str = "rs_1") -> list[dict[str, Any]]:
    events = [added(reasoning(id=id))]
    for index, content in enumerate(summary):
        half = len(content) // 2
        events += [
            thought_part("added", "", index, id),
            thought("delta", content[:half], index, id),
            thought("delta", content[half:], index, id),
            thought("done", content, index, id),
            thought_part("done", content, index, id),
        ]
    return [*events, done(reasoning(*summary, id=id))]


def image(status: str, result: str | None = None, id: str = "ig_1") -> dict[str, Any]:
    return {"type": "image_generation_call", "id": id, "status": status, "result": result}


def image_step(kind: str, id: str = "ig_1") -> dict[str, Any]:
    return {"type": f"response.image_generation_call.{kind}", "item_id": id, "output_index": 0}


def partial(index: int, data: str, id: str = "ig_1") -> dict[str, Any]:
    return {
        **image_step("partial_image", id),
        "partial_image_index": index,
        "partial_image_b64": data,
    }


def function_call(name: str = "lookup", call_id: str = "call_1", id: str | None = "fc_1") -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": id,
        "call_id": call_id,
        "name": name,
        "arguments": '{"a": 1}',
        "status": "completed",
    }


def response(kind: str, **rest: Any) -> dict[str, Any]:
    return {
        "type": f"response.{kind}",
        "response": {
            "id": "resp_9",
            "object": "response",
            "created_at": 0,
            "model": "scripted",
            "output": [],
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
            **rest,
        },
    }


def _tripped(kind: str) -> Exception:
    output = GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)
    guardrail: Any = SimpleNamespace(get_name=lambda: "guard")
    if kind == "input":
        return InputGuardrailTripwireTriggered(InputGuardrailResult(guardrail=guardrail, output=output))
    return OutputGuardrailTripwireTriggered(
        OutputGuardrailResult(guardrail=guardrail, output=output, agent_output="x", agent=None)  # type: ignore[arg-type]
    )


# What a tool does.


async def start_workflow(context: AgentContext[Any]) -> None:
    await context.start_workflow(Workflow(type="custom", tasks=[]))


async def start_workflow_with_task(context: AgentContext[Any]) -> None:
    await context.start_workflow(Workflow(type="custom", tasks=[CustomTask(title="one")]))


async def start_reasoning(context: AgentContext[Any]) -> None:
    await context.start_workflow(Workflow(type="reasoning", tasks=[]))


async def add_task(context: AgentContext[Any]) -> None:
    await context.add_workflow_task(SearchTask(title="Search", queries=["a"], status_indicator="loading"))


async def add_equal_task(context: AgentContext[Any]) -> None:
    await context.add_workflow_task(CustomTask(title="same"))


async def update_task(context: AgentContext[Any]) -> None:
    await context.update_workflow_task(CustomTask(title="Found", status_indicator="complete"), task_index=0)


async def update_beyond(context: AgentContext[Any]) -> None:
    await context.update_workflow_task(CustomTask(title="Found"), task_index=7)


async def end_workflow(context: AgentContext[Any]) -> None:
    await context.end_workflow()


async def end_with_summary(context: AgentContext[Any]) -> None:
    await context.end_workflow(summary=CustomSummary(title="All done", icon="check"), expanded=True)


async def end_with_duration(context: AgentContext[Any]) -> None:
    await context.end_workflow(summary=DurationSummary(duration=3))


async def progress(context: AgentContext[Any]) -> None:
    await context.stream(ProgressUpdateEvent(text="working"))


async def show_widget(context: AgentContext[Any]) -> None:
    await context.stream_widget(Card(children=[Text(value="hi")]), copy_text="hi")


async def stream_widget(context: AgentContext[Any]) -> None:
    async def versions() -> AsyncGenerator[Card, None]:
        yield Card(children=[Markdown(id="m", value="", streaming=True)])
        yield Card(children=[Markdown(id="m", value="Hello", streaming=True)])
        yield Card(children=[Markdown(id="m", value="Hello world", streaming=False)])

    await context.stream_widget(versions(), copy_text="Hello world")


def streams(event: Any) -> Any:
    async def tool(context: AgentContext[Any]) -> None:
        await context.stream(event)

    return tool


def call_client_tool(context: AgentContext[Any]) -> None:
    context.client_tool_call = ClientToolCall(name="lookup", arguments={"a": 1})


def call_other_client_tool(context: AgentContext[Any]) -> None:
    context.client_tool_call = ClientToolCall(name="open_tab", arguments={"tab": "x"})


def _pending_workflow(context: AgentContext[Any], kind: Any = "custom") -> None:
    context.workflow_item = WorkflowItem(
        id="wf_before",
        thread_id=context.thread.id,
        created_at=context.thread.created_at,
        workflow=Workflow(type=kind, tasks=[ThoughtTask(content="earlier")]),
    )


def _pending_reasoning(context: AgentContext[Any]) -> None:
    _pending_workflow(context, "reasoning")


def stored_workflow(kind: Any = "custom") -> WorkflowItem:
    workflow = Workflow(type=kind, tasks=[ThoughtTask(content="earlier")])
    return WorkflowItem(id="wf_old", thread_id="thr_1", created_at=NOON, workflow=workflow)


def ended_workflow() -> WorkflowItem:
    item = stored_workflow()
    item.workflow.summary = CustomSummary(title="Was done")
    item.workflow.expanded = True
    return item


def stored_call(status: Any = "completed") -> ClientToolCallItem:
    return ClientToolCallItem(
        id="tc_old", thread_id="thr_1", created_at=NOON, status=status, call_id="c", name="n", arguments={}
    )


def _task_item() -> TaskItem:
    return TaskItem(id="tsk_1", thread_id="thr_1", created_at=NOON, task=CustomTask(title="t"))


def _hidden() -> HiddenContextItem:
    return HiddenContextItem(id="hid_1", thread_id="thr_1", created_at=NOON, content="c")


def _end() -> EndOfTurnItem:
    return EndOfTurnItem(id="end_1", thread_id="thr_1", created_at=NOON)


def _delta() -> AssistantMessageContentPartTextDelta:
    return AssistantMessageContentPartTextDelta(content_index=0, delta="d")


def stored_text() -> AssistantMessageItem:
    return AssistantMessageItem(id="msg_old", thread_id="thr_1", created_at=NOON, content=[])


# Converters.


class OwnConverter(ResponseStreamConverter):
    def __init__(self) -> None:
        super().__init__(partial_images=4)

    async def base64_image_to_url(
        self, image_id: str, base64_image: str, partial_image_index: int | None = None
    ) -> str:
        return f"https://images.example/{image_id}/{base64_image}/{partial_image_index}"

    def partial_image_index_to_progress(self, partial_image_index: int) -> float:
        return partial_image_index / 100

    async def file_citation_to_annotation(self, file_citation: Any) -> Annotation | None:
        return None

    async def container_file_citation_to_annotation(self, container_file_citation: Any) -> Annotation | None:
        return Annotation(source=FileSource(filename="mine", title="Mine"), index=None)

    async def url_citation_to_annotation(self, url_citation: Any) -> Annotation | None:
        return Annotation(source=URLSource(url="https://mine.example", title="Mine"), index=9)


def three_images() -> ResponseStreamConverter:
    return ResponseStreamConverter(partial_images=3)


def no_images() -> ResponseStreamConverter:
    return ResponseStreamConverter(partial_images=0)


IMAGE = [
    added(image("in_progress")),
    image_step("in_progress"),
    image_step("generating"),
    partial(0, "AAAA"),
    partial(1, "BBBB"),
    partial(2, "CCCC"),
    image_step("completed"),
    done(image("completed", "DDDD")),
]
EVERY_CITATION = [FILE, URL, CONTAINER]
WEB_SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "q"},
}
FILE_SEARCH = {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["q"]}
CODE = {
    "type": "code_interpreter_call",
    "id": "ci_1",
    "status": "completed",
    "code": "1",
    "container_id": "c",
    "outputs": None,
}
MCP = {"type": "mcp_call", "id": "mcp_1", "name": "n", "arguments": "{}", "server_label": "s"}


def hosted(kind: str, id: str, **rest: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "item_id": id, "output_index": 0, **rest}


MORE = [add_task, *streamed("Hello"), end_workflow]

SCENARIOS: dict[str, dict[str, Any]] = {
    "continues_workflow": {"entries": MORE, "items": [stored_text(), stored_workflow(), stored_call()]},
    "continues_reasoning": {
        "entries": [*thoughts("More"), *streamed("Hello")],
        "items": [stored_workflow("reasoning"), stored_call()],
    },
    "continues_left_alone": {"entries": streamed("Hello"), "items": [stored_workflow(), stored_call()]},
    "continues_reasoning_left_alone": {
        "entries": streamed("Hello"),
        "items": [stored_workflow("reasoning"), stored_call()],
    },
    "workflow_then_pending_call": {"entries": MORE, "items": [stored_workflow(), stored_call("pending")]},
    "call_then_workflow": {"entries": MORE, "items": [stored_call(), stored_workflow()]},
    "workflow_last": {"entries": MORE, "items": [stored_text(), stored_workflow()]},
    "workflow_then_text_then_call": {
        "entries": MORE,
        "items": [stored_workflow(), stored_text(), stored_call()],
    },
    "workflow_then_text": {"entries": MORE, "items": [stored_workflow(), stored_text()]},
    "two_calls_after_workflow": {"entries": MORE, "items": [stored_workflow(), stored_call(), stored_call()]},
    "continues_although_one_is_open": {
        "entries": MORE,
        "items": [stored_workflow(), stored_call()],
        "before": _pending_workflow,
    },
    "empty": {"entries": []},
    "text": {"entries": streamed("Hel", "lo")},
    "text_in_a_response": {
        "entries": [
            response("created"),
            response("in_progress"),
            response("queued"),
            *streamed("Hel", "lo"),
            response("completed"),
        ]
    },
    "incomplete": {
        "entries": [
            response("created"),
            *streamed("Hel"),
            response("incomplete", incomplete_details={"reason": "max_output_tokens"}),
        ]
    },
    "failed": {"entries": [response("created"), added(message(status="in_progress")), response("failed")]},
    "error_event": {"entries": [{"type": "error", "code": "x", "message": "m", "param": None}]},
    "two_parts": {
        "entries": [
            added(message(status="in_progress")),
            part("added", text("")),
            delta("a"),
            text_done("a"),
            part("done", text("a")),
            part("added", text(""), index=1),
            delta("b", index=1),
            text_done("b", index=1),
            part("done", text("b"), index=1),
            done(message(text("a"), text("b"))),
        ]
    },
    "two_messages": {"entries": [*streamed("a"), *streamed("b", id="msg_2")]},
    "text_already_there": {
        "entries": [
            added(message(text("early", URL))),
            part("added", text("early", FILE)),
            done(message(text("early", FILE, URL))),
        ]
    },
    "done_only": {"entries": [done(message(text("only")))]},
    "empty_message": {"entries": [added(message(status="in_progress")), done(message())]},
    "citations": {"entries": streamed("cited", annotations=EVERY_CITATION)},
    "citations_own": {"entries": streamed("cited", annotations=EVERY_CITATION), "converter": OwnConverter},
    "file_path": {"entries": streamed("path", annotations=[PATH, URL, PATH, FILE])},
    "citations_in_two_parts": {
        "entries": [
            added(message(status="in_progress")),
            part("added", text("")),
            cited(FILE, 0),
            part("added", text(""), index=1),
            cited(URL, 0, 1),
            cited(FILE, 1, 1),
            done(message(text("", FILE), text("", URL, FILE))),
        ]
    },
    "citation_without_filename": {
        "entries": streamed("c", annotations=[FILE | {"filename": ""}, CONTAINER | {"filename": ""}])
    },
    "citation_without_title": {"entries": streamed("c", annotations=[URL | {"title": ""}])},
    "citation_none": {
        "entries": [added(message(status="in_progress")), cited(None), done(message(text("x")))]
    },
    "refusal": {
        "entries": [
            added(message(status="in_progress")),
            part("added", refusal("")),
            refused("delta", "I "),
            refused("delta", "cannot"),
            refused("done", "I cannot"),
            part("done", refusal("I cannot")),
            done(message(refusal("I cannot"))),
        ]
    },
    "thoughts": {"entries": [*thoughts("First think", "Then write"), *streamed("Hello")]},
    "one_thought": {"entries": [*thoughts("Only think"), *streamed("Hello")]},
    "thoughts_only": {"entries": thoughts("First think")},
    "thoughts_twice": {"entries": [*thoughts("First"), *thoughts("Second", id="rs_2"), *streamed("Hello")]},
    "thoughts_around_text": {
        "entries": [
            *thoughts("First"),
            *streamed("a"),
            *thoughts("Second", id="rs_2"),
            *streamed("b", id="msg_2"),
        ]
    },
    "thought_done_without_delta": {
        "entries": [added(reasoning()), thought("done", "whole"), done(reasoning("whole")), *streamed("x")]
    },
    "thoughts_at_once": {"entries": [added(reasoning()), done(reasoning("a", "b")), *streamed("x")]},
    "thoughts_before_item": {"entries": [thought("delta", "early"), *thoughts("x")]},
    "no_thoughts": {"entries": [added(reasoning()), done(reasoning()), *streamed("Hello")]},
    "thoughts_interleaved": {
        "entries": [
            added(reasoning()),
            thought("delta", "a", 0),
            thought("delta", "b", 1),
            thought("delta", "a", 0),
            thought("done", "aa", 0),
            thought("done", "b", 1),
            done(reasoning("aa", "b")),
        ]
    },
    "thoughts_in_custom_workflow": {
        "entries": [start_workflow, *thoughts("First"), add_task, *streamed("Hello"), end_workflow]
    },
    "thoughts_then_task": {"entries": [*thoughts("First"), add_task, *streamed("Hello")]},
    "reasoning_text": {
        "entries": [
            added(reasoning()),
            part("added", {"type": "reasoning_text", "text": ""}, "rs_1"),
            hosted("reasoning_text.delta", "rs_1", content_index=0, delta="raw"),
            hosted("reasoning_text.done", "rs_1", content_index=0, text="raw"),
            part("done", {"type": "reasoning_text", "text": "raw"}, "rs_1"),
            done(reasoning()),
            *streamed("Hello"),
        ]
    },
    "image": {"entries": IMAGE},
    "image_of_three": {"entries": IMAGE, "converter": three_images},
    "image_of_none": {"entries": IMAGE, "converter": no_images},
    "image_own": {"entries": IMAGE, "converter": OwnConverter},
    "image_without_result": {"entries": [added(image("in_progress")), done(image("failed"))]},
    "image_and_text": {"entries": [*thoughts("Draw"), *IMAGE, *streamed("There")]},
    "image_cut_off": {"entries": [added(image("in_progress")), partial(0, "AAAA")]},
    "image_done_only": {"entries": [done(image("completed", "DDDD"))]},
    "partial_only": {"entries": [partial(0, "AAAA")]},
    "two_images": {
        "entries": [
            added(image("in_progress")),
            added(image("in_progress", id="ig_2"), 1),
            partial(0, "AAAA"),
            partial(0, "BBBB", "ig_2"),
            done(image("completed", "CCCC")),
            done(image("completed", "DDDD", "ig_2"), 1),
        ]
    },
    "function_call": {
        "entries": [
            added(function_call() | {"status": "in_progress", "arguments": ""}),
            hosted("function_call_arguments.delta", "fc_1", delta='{"a": 1}'),
            hosted("function_call_arguments.done", "fc_1", arguments='{"a": 1}', name="lookup"),
            done(function_call()),
            tool_called(function_call()),
            progress,
            *streamed("Hello"),
        ]
    },
    "client_tool": {"entries": [done(function_call()), tool_called(function_call()), call_client_tool]},
    "client_tool_unseen": {"entries": [call_client_tool]},
    "client_tool_by_raw_event_only": {"entries": [done(function_call()), call_client_tool]},
    "client_tool_without_item_id": {"entries": [tool_called(function_call(id=None)), call_client_tool]},
    "client_tool_of_other_name": {
        "entries": [done(function_call()), tool_called(function_call()), call_other_client_tool]
    },
    "client_tool_among_two": {
        "entries": [
            tool_called(function_call("lookup", "call_1", "fc_1")),
            tool_called(function_call("other", "call_2", "fc_2")),
            call_client_tool,
        ]
    },
    "client_tool_twice_by_name": {
        "entries": [
            tool_called(function_call("lookup", "call_1", "fc_1")),
            tool_called(function_call("lookup", "call_2", "fc_2")),
            call_client_tool,
        ]
    },
    "client_tool_in_workflow": {
        "entries": [start_workflow, add_task, tool_called(function_call()), call_client_tool]
    },
    "client_tool_in_reasoning": {
        "entries": [*thoughts("Think"), tool_called(function_call()), call_client_tool]
    },
    "client_tool_called_before": {"entries": [tool_called(function_call())], "before": call_client_tool},
    "hosted_tools": {
        "entries": [
            added(WEB_SEARCH),
            hosted("web_search_call.in_progress", "ws_1"),
            hosted("web_search_call.searching", "ws_1"),
            hosted("web_search_call.completed", "ws_1"),
            done(WEB_SEARCH),
            tool_called(WEB_SEARCH),
            added(FILE_SEARCH),
            hosted("file_search_call.in_progress", "fs_1"),
            hosted("file_search_call.searching", "fs_1"),
            hosted("file_search_call.completed", "fs_1"),
            done(FILE_SEARCH),
            added(CODE),
            hosted("code_interpreter_call.in_progress", "ci_1"),
            hosted("code_interpreter_call_code.delta", "ci_1", delta="1"),
            hosted("code_interpreter_call_code.done", "ci_1", code="1"),
            hosted("code_interpreter_call.interpreting", "ci_1"),
            hosted("code_interpreter_call.completed", "ci_1"),
            done(CODE),
            added(MCP),
            hosted("mcp_call.in_progress", "mcp_1"),
            hosted("mcp_call_arguments.delta", "mcp_1", delta="{}"),
            hosted("mcp_call_arguments.done", "mcp_1", arguments="{}"),
            hosted("mcp_call.completed", "mcp_1"),
            hosted("mcp_call.failed", "mcp_1"),
            hosted("mcp_list_tools.in_progress", "mcp_1"),
            hosted("mcp_list_tools.completed", "mcp_1"),
            hosted("mcp_list_tools.failed", "mcp_1"),
            done(MCP),
            hosted("custom_tool_call_input.delta", "ct_1", delta="x"),
            hosted("custom_tool_call_input.done", "ct_1", input="x"),
            *streamed("Hello"),
        ]
    },
    "shell_and_compaction": {
        "entries": [
            response("created"),
            hosted("shell_call_command.added", "sh_1", command="ls", command_index=0),
            hosted("shell_call_command.delta", "sh_1", delta="l", command_index=0),
            hosted("shell_call_command.done", "sh_1", command="ls", command_index=0),
            hosted("shell_call_output_content.delta", "sh_1", delta={"stdout": "a"}, command_index=0),
            hosted("shell_call_output_content.done", "sh_1", output=[], command_index=0),
            hosted("compaction.compacting", "cmp_1"),
            *streamed("Hello"),
        ]
    },
    "hosted_tools_in_workflow": {
        "entries": [*thoughts("Search"), added(WEB_SEARCH), done(WEB_SEARCH), *streamed("Hello")]
    },
    "audio": {
        "entries": [
            {"type": "response.audio.delta", "delta": "x"},
            {"type": "response.audio.done"},
            {"type": "response.audio.transcript.delta", "delta": "x"},
            {"type": "response.audio.transcript.done"},
        ]
    },
    "workflow": {"entries": [start_workflow, add_task, update_task, end_workflow, *streamed("Hello")]},
    "workflow_with_task_first": {"entries": [start_workflow_with_task, add_task, end_with_summary]},
    "workflow_ended_by_duration": {"entries": [start_workflow_with_task, end_with_duration]},
    "workflow_of_reasoning": {"entries": [start_reasoning, add_task, end_workflow]},
    "workflow_without_start": {"entries": [add_task, end_workflow]},
    "workflow_update_without_start": {"entries": [update_task]},
    "workflow_update_beyond": {"entries": [start_workflow_with_task, update_beyond]},
    "workflow_end_without_start": {"entries": [end_workflow, *streamed("x")]},
    "workflow_of_equal_tasks": {"entries": [start_workflow, add_equal_task, add_equal_task, end_workflow]},
    "workflow_empty": {"entries": [start_workflow, end_workflow]},
    "workflow_left_open": {"entries": [start_workflow, add_task]},
    "workflow_left_open_before_text": {"entries": [start_workflow, add_task, *streamed("Hello")]},
    "workflow_twice": {"entries": [start_workflow_with_task, start_workflow_with_task, end_workflow]},
    "workflow_before": {"entries": [add_task, *streamed("Hello"), end_workflow], "before": _pending_workflow},
    "workflow_before_and_thoughts": {
        "entries": [*thoughts("More"), *streamed("Hello")],
        "before": _pending_workflow,
    },
    "reasoning_before": {"entries": [*thoughts("More"), *streamed("Hello")], "before": _pending_reasoning},
    **{
        f"workflow_and_{name}": {"entries": [start_workflow_with_task, tool, add_task]}
        for name, tool in {
            "progress": progress,
            "widget": show_widget,
            "widget_stream": stream_widget,
            "message": streams(ThreadItemAddedEvent(item=stored_text())),
            "message_done": streams(ThreadItemDoneEvent(item=stored_text())),
            "task_done": streams(ThreadItemDoneEvent(item=_task_item())),
            "workflow_added": streams(ThreadItemAddedEvent(item=stored_workflow())),
            "workflow_done": streams(ThreadItemDoneEvent(item=stored_workflow())),
            "hidden_done": streams(ThreadItemDoneEvent(item=_hidden())),
            "call_done": streams(ThreadItemDoneEvent(item=stored_call())),
            "end_of_turn": streams(ThreadItemDoneEvent(item=_end())),
            "update": streams(ThreadItemUpdatedEvent(item_id="x", update=_delta())),
            "removal": streams(ThreadItemRemovedEvent(item_id="x")),
            "replacement": streams(ThreadItemReplacedEvent(item=stored_text())),
            "notice": streams(NoticeEvent(level="info", message="m")),
            "effect": streams(ClientEffectEvent(name="e", data={})),
            "error": streams(ErrorEvent(message="m")),
        }.items()
    },
    "workflow_and_own_end": {"entries": [start_workflow_with_task, end_workflow, show_widget]},
    "continues_ended_workflow": {"entries": streamed("Hello"), "items": [ended_workflow(), stored_call()]},
    "continues_ended_workflow_with_task": {"entries": MORE, "items": [ended_workflow(), stored_call()]},
    "tripwire_after_function_call": {
        "entries": [done(function_call()), tool_called(function_call()), _tripped("output")]
    },
    "tripwire_after_hosted_tool": {
        "entries": [done(WEB_SEARCH), tool_called(WEB_SEARCH), _tripped("output")]
    },
    "tripwire_after_own_message": {
        "entries": [
            streams(ThreadItemDoneEvent(item=stored_text())),
            streams(ThreadItemRemovedEvent(item_id="msg_old")),
            streams(ThreadItemReplacedEvent(item=stored_workflow())),
            streams(ThreadItemUpdatedEvent(item_id="x", update=_delta())),
            _tripped("output"),
        ]
    },
    "client_tool_without_seen_item_after_text": {"entries": [*streamed("Hello"), call_client_tool]},
    "client_tool_of_hosted_kind": {"entries": [tool_called(WEB_SEARCH), call_client_tool]},
    "widget": {"entries": [show_widget, *streamed("Hello")]},
    "widget_streamed": {"entries": [stream_widget, *streamed("Hello")]},
    "events_before_and_after": {"entries": [progress, *streamed("Hello"), progress], "before": progress},
    "exception": {"entries": [*streamed("Hel")[:4], RuntimeError("model")]},
    "exception_with_event": {"entries": [progress, RuntimeError("model")]},
    "input_tripwire": {"entries": [*streamed("Hel"), *streamed("x", id="msg_2")[:3], _tripped("input")]},
    "output_tripwire": {"entries": [*streamed("Hel"), _tripped("output")]},
    "tripwire_at_once": {"entries": [_tripped("input")]},
    "tripwire_with_all": {
        "entries": [
            *thoughts("Think"),
            *streamed("Hel"),
            *IMAGE,
            start_workflow_with_task,
            show_widget,
            progress,
            _tripped("output"),
        ]
    },
    "tripwire_in_thoughts": {"entries": [*thoughts("Think")[:3], _tripped("input")]},
    "tripwire_after_client_tool": {
        "entries": [tool_called(function_call()), call_client_tool, _tripped("output")]
    },
    "tripwire_with_workflow_before": {
        "entries": [add_task, _tripped("input")],
        "before": _pending_workflow,
    },
}


def play_all() -> dict[str, Any]:
    return {name: asyncio.run(play(**scenario)) for name, scenario in SCENARIOS.items()}
