"""Prints the JSON schema of every model of the protocol; runs with whichever package provides ``chatkit``."""

from __future__ import annotations

import json
import sys
from typing import Any

from members import GROUPS, union
from pydantic import TypeAdapter

import chatkit.widgets


def schemas() -> dict[str, Any]:
    """Returns the schemas by the names of the models; widgets are compared as classes."""
    found: dict[str, Any] = {}
    for group in GROUPS:
        if group.module != "chatkit.widgets":
            found |= TypeAdapter(union(group)).json_schema().get("$defs", {})
    return {name: schema for name, schema in found.items() if not hasattr(chatkit.widgets, name)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schemas()))
