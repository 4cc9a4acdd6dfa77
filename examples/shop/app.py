"""The application: users who have signed in, the chat, its page, a database."""

import os
import secrets
from datetime import UTC, datetime, timedelta

import jwt
from assistant import Context
from server import ShopServer
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from chatkit import LocalFileStore, SQLiteStore
from chatkit.errors import AuthenticationError
from chatkit.store import Store
from chatkit.web import ChatPage, Prompt, create_app

SECRET = os.environ.get("SHOP_SECRET") or secrets.token_hex(32)
DATABASE = os.environ.get("SHOP_DATABASE")


async def signed_in(request: Request) -> Context:
    """Returns who asks, by the token in the cookie that the sign-in has set."""
    try:
        claims = jwt.decode(request.cookies.get("session", ""), SECRET, ["HS256"])
    except jwt.InvalidTokenError as error:
        raise AuthenticationError("Sign in first.") from error
    return {"user_id": claims["sub"]}


async def sign_in(request: Request) -> RedirectResponse:
    """Signs in whoever says a name: put your own sign-in here, which asks for more."""
    claims = {"sub": request.path_params["name"], "exp": datetime.now(UTC) + timedelta(hours=8)}
    answer = RedirectResponse("/")
    token = jwt.encode(claims, SECRET, "HS256")
    is_https = request.url.scheme == "https"
    answer.set_cookie("session", token, httponly=True, samesite="lax", secure=is_https)
    return answer


def open_store() -> Store[Context]:
    """Returns the store: PostgreSQL, which needs the extra ``postgres``, where a database is named, else SQLite."""
    if not DATABASE:
        return SQLiteStore("shop.db")
    from chatkit import PostgresStore

    return PostgresStore(DATABASE)


server = ShopServer(open_store(), attachment_store=LocalFileStore("shop-files"))
app = create_app(
    server,
    context=signed_in,
    routes=[Route("/sign-in/{name}", sign_in)],
    ui=ChatPage(
        title="Tea shop",
        attachments=True,
        sign_in_url="/sign-in/ada",
        prompts=[
            Prompt("Where is my order?", "Where is order 1042?"),
            Prompt("Show it", "Show me order 1042"),
        ],
    ),
)
