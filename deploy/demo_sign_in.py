"""A sign-in for demonstrations: who picks a name is that user. It checks nothing, and knows no passwords.

Only ``CHATKIT_TRIAL=1`` switches it on. What it gives is a signed cookie, or the same token for programs, so that all
the rest is as with a real sign-in: several users, each with their own threads, and 401 for who has none.
"""

from __future__ import annotations

import re
import time
from html import escape

import jwt
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from chatkit.errors import AuthenticationError, ConfigurationError

__all__ = ["DemoSignIn"]

_COOKIE = "chatkit-demo"
_AUDIENCE = "chatkit-demo"
_SECONDS = 12 * 60 * 60
_OWN_PATH = re.compile(r"/(?![/\\])[^\\\s]*")
"""A path on this host. Any other address in ``next`` is ignored, and the user is sent to the page."""
_NAME = re.compile(r"[\w .-]{1,40}")
_SHORTEST_SECRET = 32
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Demo</title>
<h1>A demonstration</h1>
<p>Nobody is checked here: pick a name, and you are that user. {present}</p>
<form method="post" action="sign-in">
<input type="hidden" name="next" value="{next}">
<input name="name" aria-label="Name" placeholder="Name" required maxlength="40" pattern="[\\w .\\-]+" autofocus>
<button>Sign in</button>
</form>
</html>"""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
}


class DemoSignIn:
    """Signs names into a cookie.

    Args:
        secret: Signs it; the same in every worker.
        page: The path of the page with the chat.

    Raises:
        ConfigurationError: The secret is too short to be one.
    """

    def __init__(self, secret: str, page: str) -> None:
        if len(secret) < _SHORTEST_SECRET:
            raise ConfigurationError(
                f"CHATKIT_SECRET must have at least {_SHORTEST_SECRET} characters: with CHATKIT_TRIAL=1 it signs names."
            )
        self._secret = secret
        self._page = page

    def __call__(self, request: Request) -> dict[str, str]:
        """Returns the context of a request: its token's user.

        Raises:
            AuthenticationError: It has no good token.
        """
        user = self._user(request)
        if user is None:
            raise AuthenticationError("Pick a name first.")
        return {"user_id": user}

    def routes(self) -> list[BaseRoute]:
        """Returns the routes of the form, at ``/`` and ``/sign-in``."""
        return [Route("/", self._show), Route("/sign-in", self._sign_in, methods=["POST"])]

    def _user(self, request: Request) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token if scheme.lower() == "bearer" else request.cookies.get(_COOKIE, "")
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=_AUDIENCE,
                options={"require": ["sub", "aud", "exp"]},
            )
        except jwt.InvalidTokenError:
            return None
        return str(claims["sub"])

    async def _show(self, request: Request) -> Response:
        user = self._user(request)
        page = escape(self._page.removeprefix("/"))
        present = "" if user is None else f'You are {escape(user)}: <a href="{page}">to the chat</a>.'
        # The page that sent the user here gave its address, to come back to.
        wanted = escape(request.query_params.get("next", ""))
        return HTMLResponse(_PAGE.format(present=present, next=wanted), headers=_HEADERS)

    async def _sign_in(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=5) as form:
            name, wanted = (str(form.get(field, "")).strip() for field in ("name", "next"))
        if not _NAME.fullmatch(name):
            return HTMLResponse(
                _PAGE.format(
                    present="That is no name: use letters, digits, dots and dashes.", next=escape(wanted)
                ),
                422,
                _HEADERS,
            )
        claims = {"sub": name, "aud": _AUDIENCE, "exp": int(time.time()) + _SECONDS}
        token = jwt.encode(claims, self._secret, algorithm="HS256")
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"token": token}, headers={"Cache-Control": "no-store"})
        answer = RedirectResponse(
            wanted if _OWN_PATH.fullmatch(wanted) else self._page.removeprefix("/"), 303
        )
        is_https = request.url.scheme == "https"
        answer.set_cookie(_COOKIE, token, max_age=_SECONDS, httponly=True, samesite="lax", secure=is_https)
        return answer
