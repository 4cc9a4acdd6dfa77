"""What an answer says: words that a seed decides, so that whoever knows the seed can check every byte."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass

__all__ = ["Telling"]

_SYLLABLES = ("ka", "lo", "mi", "ru", "te", "so", "na", "vi", "pe", "du", "gä", "木", "🙂")


@dataclass(frozen=True, slots=True)
class Telling:
    """An answer, as a user message asks for it.

    Attributes:
        seed: Decides the words.
        deltas: Number of text deltas.
        pause: Seconds between two of them.
    """

    seed: int
    deltas: int = 200
    pause: float = 0.05

    @classmethod
    def parse(cls, text: str) -> Telling:
        """Reads what ``request`` wrote."""
        return cls(**json.loads(text))

    def request(self) -> str:
        """Returns the text of the message that asks for it."""
        return json.dumps(asdict(self))

    def words(self) -> list[str]:
        """Returns the deltas. Each one is numbered: a lost, doubled or moved one cannot go unseen."""
        source = random.Random(self.seed)
        return [
            f"{number}:{''.join(source.choices(_SYLLABLES, k=source.randint(1, 4)))} "
            for number in range(self.deltas)
        ]

    def text(self) -> str:
        """Returns the whole answer."""
        return "".join(self.words())
