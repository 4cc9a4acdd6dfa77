"""The servers of ``docs/events.md``, which its pictures and its tests are made with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from chatkit.server import ChatKitServer

__all__ = ["PAGE", "PICTURES", "example_servers"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "events.md"
PICTURES = PAGE.parent / "pictures"


def example_servers() -> dict[str, type[ChatKitServer[Any]]]:
    """Returns the server of each example, by the name of its file."""
    blocks = re.findall(r"^```python\n# (\w+)\.py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    servers: dict[str, type[ChatKitServer[Any]]] = {}
    for name, program in blocks:
        names: dict[str, Any] = {"__name__": name}
        exec(compile(program, f"{name}.py", "exec"), names)
        servers[name] = names[f"{name.capitalize()}Server"]
    return servers
