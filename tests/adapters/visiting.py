"""What a page asks of an application, for the programs of this folder; run by either distribution."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import chatkit.server

# The application's own store, with ids that are the same in every run.
sys.path.append(str(Path(__file__).parents[1] / "dropin" / "foreign"))
from shapes import TIME, Files, Plain, message

__all__ = ["Files", "Plain", "Visit", "message", "run"]


class Visit:
    """Asks a server, and keeps the answers by the name of the step, with what the model was given meanwhile.

    Args:
        server: The server.
        context: Of its requests.
        heard: Filled by the model.
    """

    def __init__(self, server: Any, context: Any, heard: list[Any]) -> None:
        self.answers: dict[str, Any] = {}
        self._server = server
        self._context = context
        self._heard = heard

    async def ask(self, step: str, kind: str, /, **params: Any) -> Any:
        """Returns the events of an answer, or what it is if it does not stream."""
        self._heard.clear()
        events: list[Any] = []
        try:
            result: Any = await self._server.process(
                json.dumps({"type": kind, "params": params}), self._context
            )
            if hasattr(result, "json_events"):
                async for frame in result:
                    events.append(_read(frame.decode().removeprefix("data: ")))  # noqa: PERF401
                answer: Any = events
            else:
                answer = _read(result.json.decode())
        except Exception as error:  # noqa: BLE001 -- that it raises is the answer
            answer = {"raised": f"{type(error).__name__}: {error}", "before": events}
        self.answers[step] = {"answer": answer, "heard": list(self._heard)}
        return answer


def _read(text: str) -> Any:
    return json.loads(TIME.sub('"created_at":"<time>"', text))


def run(play: Callable[[], Awaitable[Visit]]) -> None:
    """Prints the answers of a visit, and which ``chatkit`` gave them."""
    logging.disable(logging.CRITICAL)
    installed = {entry.name for entry in distributions()} & {"chatkit-server", "openai-chatkit"}
    told = {"chatkit": [chatkit.server.__file__, *sorted(installed)], "answers": asyncio.run(_answers(play))}
    sys.stdout.write(f"\n{json.dumps(told)}\n")


async def _answers(play: Callable[[], Awaitable[Visit]]) -> Any:
    return (await play()).answers
