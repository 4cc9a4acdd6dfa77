"""Records what ``openai-chatkit`` answers; run with an interpreter that has it.

``python record.py`` writes ``answers.json``; ``python record.py FILE`` writes another file.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main(file: Path) -> None:
    sys.path.insert(0, str(HERE.parents[2]))
    from tests.server.recorded.scenarios import SCENARIOS, play_scenario

    logging.disable()
    lines = [f'{{"package": "openai-chatkit {version("openai-chatkit")}"']
    for name in SCENARIOS:
        answers = asyncio.run(play_scenario(name))
        lines.append(f'"{name}": [\n' + ",\n".join(map(_block, answers)) + "\n]")
    file.write_text(",\n".join(lines) + "}\n")


def _block(answer: Any) -> str:
    """Returns an answer as JSON, one event a line."""
    if not isinstance(answer, list):
        return _line(answer)
    return "[\n" + ",\n".join(map(_line, answer)) + "]"


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "answers.json")
