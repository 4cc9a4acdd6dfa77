"""Records what ``openai-chatkit`` makes of the streams; run with an interpreter that has it.

``python record.py`` writes ``events.json``; ``python record.py FILE`` writes another file.
"""

from __future__ import annotations

import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main(file: Path) -> None:
    sys.path.insert(0, str(HERE.parents[2]))
    from tests.agents.recorded.scenarios import play_all

    logging.disable()
    lines = [f'{{"package": "openai-chatkit {version("openai-chatkit")}"']
    lines += [
        f'"{name}": [\n' + ",\n".join(map(_line, events)) + "\n]" for name, events in play_all().items()
    ]
    file.write_text(",\n".join(lines) + "}\n")


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "events.json")
