"""What an answer says: words that a seed decides, so that whoever knows the seed can check every byte."""

from __future__ import annotations

import json
import random
import re
from dataclasses import asdict, dataclass

__all__ = ["Telling"]

_SYLLABLES = ("ka", "lo", "mi", "ru", "te", "so", "na", "vi", "pe", "du", "gä", "木", "🙂")


@dataclass(frozen=True, slots=True)
class Telling:
    """An answer, as a request asks for it.

    Attributes:
        seed: Decides the words, and is the first of them.
        deltas: Number of text deltas.
        pause: Seconds between two of them.
        tool: Whether a call of the page's tool follows the text.
    """

    seed: int
    deltas: int = 200
    pause: float = 0.05
    tool: bool = False

    @classmethod
    def parse(cls, text: str) -> Telling:
        """Reads what ``request`` wrote."""
        return cls(**json.loads(text))

    @staticmethod
    def seed_of(text: str) -> int | None:
        """Returns the seed of an answer, also where only its beginning is there; None if it is nobody's."""
        found = re.match(r"#(\d+) ", text)
        return None if found is None else int(found[1])

    def request(self) -> str:
        """Returns the text of the message that asks for it."""
        return json.dumps(asdict(self))

    def words(self) -> list[str]:
        """Returns the deltas. Each one is numbered: a lost, doubled or moved one cannot go unseen."""
        source = random.Random(self.seed)
        words = [
            f"{number}:{''.join(source.choices(_SYLLABLES, k=source.randint(1, 4)))} "
            for number in range(self.deltas)
        ]
        words[0] = f"#{self.seed} {words[0]}"
        return words

    def text(self) -> str:
        """Returns the whole answer."""
        return "".join(self.words())
