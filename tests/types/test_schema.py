"""Every definition of the protocol has the same fields, types and defaults here, but for what the tables say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from chatkit.types import ChatKitReq, ThreadStreamEvent
from tests.types.shapes import shapes

FACTS = Path(__file__).parent / "protocol"
KNOWN: dict[str, dict[str, dict[str, str]]] = {
    name: json.loads((FACTS / f"{name}.json").read_text(encoding="utf-8")) for name in ("requests", "events")
}
OURS = {
    "requests": shapes(TypeAdapter[Any](ChatKitReq).json_schema(by_alias=False)),
    "events": shapes(TypeAdapter[Any](ThreadStreamEvent).json_schema(by_alias=False)),
}

ITEMS = [name for name, fields in KNOWN["events"].items() if name.endswith("Item") and "thread_id" in fields]

# (definition, field) -> what it is here; the handler's server fills in what an item leaves out.
RELAXED: dict[tuple[str, str], str] = {
    **{(item, "thread_id"): "string = ''" for item in ITEMS},
    **{(item, "created_at"): "string:date-time" for item in ITEMS},
    ("Thread", "created_at"): "string:date-time",
    ("UserMessageItem", "inference_options"): "InferenceOptions",
    ("UserMessageInput", "inference_options"): "InferenceOptions",
    ("UserMessageInput", "attachments"): "[string]",
    # Its default is no value at all there.
    ("Action", "type"): "string, required",
    # Read by a reader of our own, which keeps what it does not know: tests/widgets.
    ("WidgetItem", "widget"): "object, required",
    ("WidgetRootUpdated", "widget"): "object, required",
    ("WidgetComponentUpdated", "component"): "object, required",
}
# Instead of each there is another field, of which a validator demands one.
OPTIONAL = {("ThreadItemDoneEvent", "item"), ("ThreadItemUpdatedEvent", "update")}
ADDED: dict[tuple[str, str], str] = {
    ("ErrorEvent", "reason"): "null | string = None",
    ("ThreadListParams", "capabilities"): "boolean | null = None",
    ("Thread", "updated_at"): "null | string:date-time = None",
    ("ThreadItemDoneEvent", "id"): "null | string = None",
    ("ThreadItemDoneEvent", "added_id"): "null | string = None",
    ("ThreadItemReplacedEvent", "id"): "null | string = None",
    ("ThreadItemReplacedEvent", "added_id"): "null | string = None",
    ("ThreadItemUpdatedEvent", "delta"): "TextDelta | null = None",
}
ADDED_DEFINITIONS = {
    "TextDelta",
    "ThreadSearchParams",
    "ThreadsSearchReq",
    "TurnResumeParams",
    "TurnStopParams",
    "TurnsResumeReq",
    "TurnsStopReq",
}


def relaxed(name: str, fields: dict[str, str]) -> dict[str, str]:
    expected: dict[str, str] = {}
    for field, kind in fields.items():
        if (name, field) in OPTIONAL:
            parts = kind.removesuffix(", required").split(" | ")
            expected[field] = " | ".join(sorted([*parts, "null"])) + " = None"
        else:
            expected[field] = RELAXED.get((name, field), kind)
    added = {field: kind for (owner, field), kind in ADDED.items() if owner == name}
    return expected | added


@pytest.mark.parametrize(
    ("part", "name"), [(part, name) for part, definitions in KNOWN.items() for name in definitions]
)
def test_a_definition_of_the_protocol(part: str, name: str) -> None:
    assert OURS[part][name] == relaxed(name, KNOWN[part][name])


def test_additions_are_listed() -> None:
    for part, definitions in OURS.items():
        assert set(definitions) - set(KNOWN[part]) <= ADDED_DEFINITIONS


def test_the_tables_have_no_dead_entries() -> None:
    known = {
        (name, field)
        for definitions in KNOWN.values()
        for name, fields in definitions.items()
        for field in fields
    }
    assert {*RELAXED, *OPTIONAL} <= known
    assert not known & set(ADDED)
