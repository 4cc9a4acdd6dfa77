"""Who is asking, by Django's session, where a request does not pass Django: what you copy into your project."""

from importlib import import_module

from asgiref.sync import sync_to_async
from chat import Context
from django.conf import settings
from django.contrib.auth import get_user
from django.db import close_old_connections
from django.http import HttpRequest
from starlette.requests import Request

from chatkit.errors import AuthenticationError


async def signed_in(request: Request) -> Context:
    """Returns the context of a request; its cookie names the session of a user who signed in with Django."""
    return await sync_to_async(context_of)(request.cookies.get(settings.SESSION_COOKIE_NAME))


def context_of(session_key: str | None) -> Context:
    """Returns the context for a session, whose user Django checks: by the password, and by whether it is active."""
    # Django does so at the beginning and the end of each of its own requests.
    close_old_connections()
    try:
        asked = HttpRequest()
        asked.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
        user = get_user(asked)
    finally:
        close_old_connections()
    if not user.is_authenticated:
        raise AuthenticationError
    return {"user_id": str(user.pk), "name": user.get_username()}
