"""What is asked of the server, and what the readers of its answer do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from uuid import UUID

from benchmarks.chaos.script import Telling

if TYPE_CHECKING:
    from benchmarks.chaos.client import Reader

__all__ = ["Ask", "Kind", "Plan"]

Kind: TypeAlias = Literal["create", "message", "output", "action", "retry"]


@dataclass
class Ask:
    """A request that has something answered, however often it is sent: all sendings have one idempotency key.

    Attributes:
        number: Of this request; decides its key.
        user: Who asks.
        kind: Which request it is.
        telling: The answer that it asks for.
        thread_id: The thread, once it is known.
        item_id: The message to answer again, of a retry.
        readers: All that read its answer.
        sent_at: Loop time of the first sending.
        taken: Set with the first head of an answer that was not refused.
        taken_at: Its loop time.
        ended_at: Loop time of the first end that a reader got.
        busy: Times between which a sending was refused because a turn runs in the thread.
    """

    number: int
    user: str
    kind: Kind
    telling: Telling
    thread_id: str = ""
    item_id: str = ""
    readers: list[Reader] = field(default_factory=list["Reader"])
    sent_at: float = float("inf")
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    taken_at: float = float("inf")
    ended_at: float = float("inf")
    busy: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    @property
    def key(self) -> str:
        return str(UUID(int=(self.telling.seed << 32) + self.number))

    @property
    def heard(self) -> bool:
        """Whether a reader was shown that it is stored."""
        return any(reader.heard for reader in self.readers)

    def body(self, *, resumable: bool = True, other: bool = False) -> dict[str, Any]:
        """Returns the request; ``other`` makes it another one with the same key."""
        telling = self.telling if not other else Telling(self.telling.seed, deltas=1)
        text = telling.request()
        message: dict[str, Any] = {
            "content": [{"type": "input_text", "text": text}],
            "attachments": [],
            "inference_options": {},
        }
        names: dict[Kind, tuple[str, dict[str, Any]]] = {
            "create": ("threads.create", {"input": message}),
            "message": ("threads.add_user_message", {"input": message}),
            "output": ("threads.add_client_tool_output", {"result": {"telling": text}}),
            "action": ("threads.custom_action", {"action": {"type": "tell", "payload": {"telling": text}}}),
            "retry": ("threads.retry_after_item", {"item_id": f"{self.item_id}{'x' if other else ''}"}),
        }
        name, params = names[self.kind]
        if self.kind != "create":
            params["thread_id"] = self.thread_id
        metadata: dict[str, Any] = {"idempotency_key": self.key}
        if resumable:
            metadata["resumable"] = True
        return {"type": name, "params": params, "metadata": metadata}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reader will do.

    Attributes:
        think: Seconds before it sends its request.
        cuts: Numbers of received events at which it loses its connection.
        stop_after: Number of received events at which it asks for a stop; None if it does not.
        deadline: Seconds after which an answer without an end is an endless one.
        stock: Whether it knows nothing of turns: it sends the request again where it was cut off.
        resumes: Whether it sends nothing and asks for the thread's last turn, as a page does that was loaded again.
        reruns: Whether turns of dead workers run again: what they have shown is then begun anew, in its place.
    """

    think: float = 0.0
    cuts: tuple[int, ...] = ()
    stop_after: int | None = None
    deadline: float = 90.0
    stock: bool = False
    resumes: bool = False
    reruns: bool = False
