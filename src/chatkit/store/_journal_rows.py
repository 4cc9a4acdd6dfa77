"""Steps of a turn as rows of a database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chatkit.store.journal import RecordedStep, StepStatus

__all__ = ["steps_of", "values_of"]


def values_of(step: RecordedStep) -> dict[str, str | int]:
    """Returns the columns of a step."""
    return {
        "position": step.position,
        "kind": step.kind,
        "name": step.name,
        "fingerprint": step.fingerprint,
        "effect": step.effect,
        "status": step.status,
        "result": step.result,
    }


def steps_of(rows: Iterable[tuple[Any, ...]]) -> list[RecordedStep]:
    """Returns the steps that are in the rows of a statement."""
    return [
        RecordedStep(position, kind, name, fingerprint, effect, StepStatus(status), result)
        for position, kind, name, fingerprint, effect, status, result in rows
    ]
