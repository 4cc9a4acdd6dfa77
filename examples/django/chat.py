"""A chat as a view of Django, for users who are signed in: what you copy into your project."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_POST

from chatkit.errors import AuthenticationError, ChatKitError
from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.store import SQLiteStore
from chatkit.types import (
    AssistantMessageItem,
    TextDelta,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)
from chatkit.web.errors import response_for

Context = dict[str, str]


class GreetingServer(ChatKitServer[Context]):
    """Greets the user by name, and repeats the message."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context
    ) -> AsyncIterator[ThreadStreamEvent]:
        text = "".join(part.text for part in input.content) if input else ""
        item_id = self.store.generate_item_id("message", thread, context)
        yield ThreadItemAddedEvent(item=AssistantMessageItem(id=item_id, content=[]))
        for word in f"{context['name']}, you said: {text}".split(" "):
            yield ThreadItemUpdatedEvent(id=item_id, delta=TextDelta(text=word + " "))
        yield ThreadItemDoneEvent(id=item_id)


server = GreetingServer(SQLiteStore("chatkit.db"))


@require_POST
async def chatkit(request: HttpRequest) -> HttpResponseBase:
    """Speaks the protocol; Django's session says who asks, its middleware checks the CSRF token."""
    try:
        user = await request.auser()
        if not user.is_authenticated:
            raise AuthenticationError
        context = {"user_id": str(user.pk), "name": user.get_username()}
        result = await server.process(request.body, context)
    except ChatKitError as error:
        refused = response_for(error)
        return HttpResponse(bytes(refused.body), status=refused.status_code, headers=dict(refused.headers))
    if isinstance(result, NonStreamingResult):
        return HttpResponse(result.json, content_type="application/json")
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(frames(result), content_type="text/event-stream", headers=headers)


async def frames(result: StreamingResult) -> AsyncIterator[bytes]:
    """Yields the stream; a client that leaves stops the answer, what there is of it is kept."""
    async with aclosing(result):
        async for frame in result:
            yield frame
