"""The same chat as an async view of Django, behind its middleware: sign-in, sessions and CSRF check."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from chat import server
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_POST

from chatkit.errors import AuthenticationError, ChatKitError
from chatkit.server import NonStreamingResult, StreamingResult
from chatkit.web.errors import response_for


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
