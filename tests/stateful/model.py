"""What the application's data should be, in plain Python that shares nothing with the package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NOTE = "The user stopped the answer here. Do not continue it unless asked to."
HIDDEN = {"hidden_context_item", "sdk_hidden_context"}
SEARCHED_FOR_TOOL_CALLS = 20
SEARCHED_FOR_ABANDONED_CALLS = 100


@dataclass
class Item:
    """An item: what kind, what it says, and its id as far as a client was told it."""

    kind: str
    value: Any
    id: str | None = None

    @property
    def visible(self) -> bool:
        return self.kind not in HIDDEN


@dataclass
class Thread:
    id: str
    title: str | None = None
    status: str = "active"
    metadata: dict[str, Any] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)

    @property
    def visible(self) -> list[Item]:
        return [item for item in self.items if item.visible]

    def item(self, item_id: str) -> Item:
        (found,) = (item for item in self.items if item.id == item_id)
        return found

    def answer(self, text: str) -> list[Item]:
        """Applies what the application does with a message, and returns the new items."""
        verb, _, word = text.partition(" ")
        said = f"You said {word}"
        new: list[Item] = []
        if verb == "hide":
            new = [Item("hidden_context_item", word), Item("assistant_message", said)]
        elif verb in {"say", "leave", "fail", "replace", "remove"}:
            new = [Item("assistant_message", said)]
        elif verb == "hold":
            new = [Item("assistant_message", said), Item("sdk_hidden_context", NOTE)]
        elif verb == "widget":
            new = [Item("widget", word)]
        elif verb == "tool":
            new = [Item("client_tool_call", ("pending", None))]
        elif verb == "ask":
            new = [Item("structured_input", ("pending", None))]
        elif verb == "title":
            self.title = word
            self.metadata["title"] = word
        elif verb in {"lock", "close"}:
            self.status = {"lock": "locked", "close": "closed"}[verb]
        self.items += new
        return new

    def go_on(self) -> list[Item]:
        """Applies what the application does after a tool's output or answers."""
        new = [Item("assistant_message", "You said ")]
        self.items += new
        return new

    def pending_tool_call(self) -> Item | None:
        """The last tool call of the turn that the thread ends with, if it waits for its output."""
        for item in self.items[: -SEARCHED_FOR_TOOL_CALLS - 1 : -1]:
            if item.kind == "client_tool_call":
                return item if item.value[0] == "pending" else None
            if item.kind == "user_message":
                return None
        return None

    def answer_call(self, call: Item, result: Any) -> None:
        """Applies a tool's output: calls that the user wrote past, which still wait, are removed."""
        call.value = ("completed", result)
        searched = len(self.items) - SEARCHED_FOR_ABANDONED_CALLS
        self.items[:] = [
            item
            for place, item in enumerate(self.items)
            if place < searched or item.kind != "client_tool_call" or item.value[0] != "pending"
        ]


@dataclass
class Owner:
    """One tenant's data; attachments are told by the thread that they were sent in last."""

    threads: dict[str, Thread] = field(default_factory=dict)
    attachments: dict[str, str | None] = field(default_factory=dict)


def essence(item: dict[str, Any]) -> tuple[str, Any]:
    """Returns the kind of an item that is a plain dict, and what it says, as the model has it."""
    kind = item["type"]
    if kind == "user_message":
        text = "".join(part["text"] for part in item["content"])
        return kind, (text, [attachment["id"] for attachment in item["attachments"]])
    if kind == "assistant_message":
        return kind, "".join(part["text"] for part in item["content"])
    if kind == "widget":
        return kind, item["copy_text"]
    if kind == "client_tool_call":
        return kind, (item["status"], item.get("output"))
    if kind == "structured_input":
        (question,) = item["inputs"]
        answer = question.get("answer")
        return kind, (item["status"], answer and (answer["values"], answer["skipped"]))
    return kind, item["content"]
