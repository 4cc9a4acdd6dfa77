"""The guide's commands: what can be typed, and which demonstration answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple, TypeAlias

from chatkit.demo.dialogue import close, count, lock, questions, tool
from chatkit.demo.scene import Scene
from chatkit.demo.texts import long_answer, markdown, sources
from chatkit.demo.work import effect, failure, image, notice, progress, workflow
from chatkit.types import ThreadStreamEvent

__all__ = ["COMMANDS", "Command", "find_command", "help_text", "unknown"]

Play: TypeAlias = Callable[[Scene], AsyncIterator[ThreadStreamEvent]]


class Command(NamedTuple):
    """A command: what the user types, what that shows, for the list of commands, and the demonstration."""

    name: str
    shows: str
    play: Play


COMMANDS: Final = (
    Command("markdown", "text that streams, with most of what markdown has", markdown),
    Command("progress", "status lines while something is going on", progress),
    Command("workflow", "steps of work and their state", workflow),
    Command("widget", "a card with buttons that act on the server", count),
    Command("effect", "a call of the page's own code", effect),
    Command("tool", "a tool that runs on your side, and my going on with its output", tool),
    Command("questions", "questions to fill in", questions),
    Command("sources", "sentences with their sources", sources),
    Command("image", "a picture that gets sharper", image),
    Command("notice", "messages outside the conversation", notice),
    Command("error", "a failure, and a retry that works", failure),
    Command("long", "a long answer to stop or to reload in; `long 500` makes it 500 lines", long_answer),
    Command("lock", "a thread that takes no messages until it is unlocked", lock),
    Command("close", "the end of this thread", close),
)

_BY_NAME: Final = {command.name: command for command in COMMANDS}
_INTRODUCTION: Final = (
    "I am the guide that comes with this server. No model answers here: I know a few commands, "
    "and each shows something that the chat can do."
)


def find_command(text: str) -> tuple[Play, str]:
    """Returns the demonstration that a message asks for, and the rest of the message."""
    words = text.strip().lower().removeprefix("/").split(maxsplit=1)
    name = words[0].strip(".!?") if words else ""
    argument = words[1].strip() if len(words) > 1 else ""
    if name in {"help", "hello", "hi", "hey", ""}:
        return help_text, argument
    command = _BY_NAME.get(name)
    return (command.play, argument) if command else (unknown, argument)


def help_text(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields the list of commands."""
    lines = [f"- `{command.name}`: {command.shows}" for command in COMMANDS]
    return scene.say("\n".join([_INTRODUCTION, "", *lines, "- `help`: this list"]))


def unknown(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields the answer to a message that is no command."""
    return scene.say(
        "I cannot answer that: I am the built-in guide, and there is no model behind me. "
        "Your message is stored in the thread like any other. Type `help` to see what I can show."
    )
