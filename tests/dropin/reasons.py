"""Why something is not as in ``openai-chatkit`` 1.6.5: each reason is written down, and named by its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Decision", "Difference", "Fault", "Reason"]

DOCS = Path(__file__).resolve().parents[2] / "docs"


@dataclass(frozen=True)
class Fault:
    """A fault of 1.6.5, by its number in the list "Where 1.6.5 falls down", which ``docs/migration.md`` has."""

    number: int

    def __str__(self) -> str:
        return f"fault {self.number}: {_faults()[self.number]}"


@dataclass(frozen=True)
class Decision:
    """A record in ``docs/decisions``, by its name without the number, and what of it is meant."""

    name: str
    what: str

    def __str__(self) -> str:
        (record,) = (DOCS / "decisions").glob(f"[0-9]*-{self.name}.md")
        return f"decision {record.stem}: {self.what}"


Reason = Fault | Decision


@dataclass(frozen=True)
class Difference:
    """One answer that is not the recorded one.

    Attributes:
        reason: Where it is explained.
        change: What the recorded answer becomes here.
    """

    reason: Reason
    change: Callable[[Any], Any]


@cache
def _faults() -> dict[int, str]:
    text = (DOCS / "migration.md").read_text(encoding="utf-8")
    section = text.partition("## Faults that are gone")[2].partition("\n## ")[0]
    entries = re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |\Z)", section, re.MULTILINE | re.DOTALL)
    return {int(number): " ".join(entry.split()) for number, entry in entries}
