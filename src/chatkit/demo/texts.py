"""Demonstrations of text: markdown, sources, a long answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from chatkit.demo.scene import Scene
from chatkit.ids import new_id
from chatkit.types import (
    Annotation,
    AssistantMessageContentPartAnnotationAdded,
    AssistantMessageItem,
    EntitySource,
    FileSource,
    Source,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    URLSource,
)

__all__ = ["long_answer", "markdown", "sources"]

MARKDOWN: Final = """\
## Markdown, as it streams

Text arrives in pieces, and the page renders what is there: *emphasis*, **strong**, `code`, ~~struck~~ and
[links](https://en.wikipedia.org/wiki/Markdown).

1. Lists with numbers
2. and lists in lists
   - like this
   - and this

| Event | When |
|---|---|
| `thread.item.added` | a message begins |
| `thread.item.updated` | a piece of text arrives |
| `thread.item.done` | it is complete, and stored |

```python
async def respond(self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context):
    yield "Hello"
```

> A quotation closes the tour.
"""

_USUAL_LINES: Final = 120
_MOST_LINES: Final = 5000


def markdown(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields a message with most of what markdown has."""
    return scene.say(MARKDOWN)


async def sources(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields a message whose sentences cite a page, a file and an object of the application."""
    cited: list[tuple[str, Source]] = [
        (
            "Server-sent events are described in the HTML standard.",
            URLSource(
                title="HTML: Server-sent events",
                url="https://html.spec.whatwg.org/multipage/server-sent-events.html",
                attribution="WHATWG",
            ),
        ),
        (" A source can be a file.", FileSource(title="The handbook", filename="handbook.pdf")),
        (
            " Or anything that your application knows.",
            EntitySource(id="guide", title="The guide", description="The assistant that you talk to."),
        ),
    ]
    message = AssistantMessageItem(id=new_id("message"), content=[])
    yield ThreadItemAddedEvent(item=message)
    position = 0
    for number, (sentence, source) in enumerate(cited):
        yield ThreadItemUpdatedEvent(id=message.id, delta=TextDelta(text=sentence))
        position += len(sentence)
        yield ThreadItemUpdatedEvent(
            item_id=message.id,
            update=AssistantMessageContentPartAnnotationAdded(
                content_index=0,
                annotation_index=number,
                annotation=Annotation(source=source, index=position),
            ),
        )
        await scene.pause(5)
    yield ThreadItemDoneEvent(id=message.id)


def long_answer(scene: Scene) -> AsyncIterator[ThreadStreamEvent]:
    """Yields a message of numbered lines, so that a lost or doubled piece would be seen."""
    lines = int(scene.argument) if scene.argument.isascii() and scene.argument.isdigit() else _USUAL_LINES
    lines = min(lines, _MOST_LINES)
    return scene.write(
        (
            f"Line {number} of {lines}: stop me, or reload the page and watch me go on.  \n"
            for number in range(1, lines + 1)
        ),
        pause=2,
    )
