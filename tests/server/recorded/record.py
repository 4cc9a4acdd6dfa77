"""Records what ``openai-chatkit`` answers; run with an interpreter that has it: ``python record.py``."""

from __future__ import annotations

import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main() -> None:
    sys.path.insert(0, str(HERE.parents[2]))
    from tests.server.recorded.scenarios import play_all

    logging.disable()
    lines = [f'{{"package": "openai-chatkit {version("openai-chatkit")}"']
    for name, answers in play_all().items():
        lines.append(f'"{name}": [\n' + ",\n".join(map(_block, answers)) + "\n]")
    (HERE / "answers.json").write_text(",\n".join(lines) + "}\n")


def _block(answer: Any) -> str:
    """Returns an answer as JSON, one event a line."""
    if not isinstance(answer, list):
        return _line(answer)
    return "[\n" + ",\n".join(map(_line, answer)) + "]"


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    main()
