"""The blocks of code of the server integration reference, as the document has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).with_name("server-integration.md")
_HEADING = re.compile(r"#+ (.+)")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        title: The heading that it stands under.
        line: Line of the document on which the code begins.
        language: As the fence says.
        code: The code.
    """

    title: str
    line: int
    language: str
    code: str


def read_blocks() -> list[Block]:
    """Returns the document's blocks in its order."""
    blocks: list[Block] = []
    title, language, begin = "", None, 0
    code: list[str] = []
    for number, line in enumerate(DOCUMENT.read_text(encoding="utf-8").splitlines(), start=1):
        if language is None:
            if line.startswith("```"):
                language, begin, code = line[3:], number + 1, []
            elif heading := _HEADING.fullmatch(line):
                title = heading[1]
        elif line == "```":
            blocks.append(Block(title, begin, language, "".join(f"{text}\n" for text in code)))
            language = None
        else:
            code.append(line)
    if language is not None:
        raise ValueError(f"The block that begins in line {begin} has no end.")
    return blocks
