"""The cases that the element's own reduction is tested with, too: both sides make the same of the same updates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from chatkit.errors import InvalidEventError
from chatkit.reduce import accumulator
from chatkit.types import ThreadItem, ThreadItemUpdate

FOLDER = Path(__file__).parent / "fixtures" / "reduce"
ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
UPDATE: TypeAdapter[ThreadItemUpdate] = TypeAdapter(ThreadItemUpdate)


def cases() -> list[Any]:
    return [
        pytest.param(case, id=case["name"])
        for path in sorted(FOLDER.glob("*.json"))
        for case in json.loads(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("case", cases())
def test_case(case: dict[str, Any]) -> None:
    pending = accumulator(ITEM.validate_python(case["item"]))
    updates = [UPDATE.validate_python(update) for update in case["updates"]]
    if case.get("refused"):
        for update in updates[:-1]:
            pending.add(update)
        with pytest.raises(InvalidEventError):
            pending.add(updates[-1])
        return
    for update in updates:
        pending.add(update)
    assert pending.item().model_dump(mode="json", exclude_none=True) == ITEM.validate_python(
        case["result"]
    ).model_dump(mode="json", exclude_none=True)
