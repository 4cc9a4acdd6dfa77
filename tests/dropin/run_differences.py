"""Why runs of the Agents SDK become something else than in ``openai-chatkit`` 1.6.5; what, is in ``tests/agents``."""

from __future__ import annotations

from tests.dropin.reasons import Decision, Reason

__all__ = ["REASONS"]

RUN = "where-answers-differ-from-openai-chatkit"

REASONS: dict[str, Reason] = {
    "citation_none": Decision(RUN, "a citation of no kind is left out instead of ending the answer"),
    "client_tool_among_two": Decision(RUN, "a client tool call has the ids of the function call of its tool"),
    "reasoning_text": Decision(RUN, "reasoning that a model server sends whole is shown as thoughts"),
    "client_tool_without_item_id": Decision(RUN, "a function call without an item id gets one"),
    "thoughts_in_custom_workflow": Decision(
        RUN, "a workflow is introduced by its first task, also a thought"
    ),
    "two_images": Decision(RUN, "each of several images is an item of its own"),
    "workflow_of_equal_tasks": Decision(RUN, "a task that equals an earlier one has an index of its own"),
}
