"""A FastAPI application whose users sign in with a password, and see only their own threads."""

from collections.abc import AsyncIterator
from html import escape
from typing import Annotated

from accounts import Accounts
from fastapi import Cookie, FastAPI, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from chatkit.server import ChatKitServer
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
from chatkit.web import ChatPage, ui_routes
from chatkit.web.fastapi import chatkit_router

Context = dict[str, str]
Session = Annotated[str | None, Cookie()]

FORM = """<form method="post" action="/sign-in">
<input name="name" placeholder="Name" required> <input name="password" type="password" required>
<button>Sign in</button></form>"""

accounts = Accounts()
accounts.add("ada", "analytical")
accounts.add("grace", "nanosecond")


class GreetingServer(ChatKitServer[Context]):
    """Greets the user by name, and repeats the message."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context
    ) -> AsyncIterator[ThreadStreamEvent]:
        text = "".join(part.text for part in input.content) if input else ""
        item_id = self.store.generate_item_id("message", thread, context)
        yield ThreadItemAddedEvent(item=AssistantMessageItem(id=item_id, content=[]))
        for word in f"{context['user_id']}, you said: {text}".split(" "):
            yield ThreadItemUpdatedEvent(id=item_id, delta=TextDelta(text=word + " "))
        yield ThreadItemDoneEvent(id=item_id)


def signed_in(session: Session = None) -> Context:
    """Returns the context of a request: a FastAPI dependency, with any parameters that FastAPI can fill in."""
    user = accounts.user(session)
    if user is None:
        raise HTTPException(401, "Sign in first.")
    return {"user_id": user}


app = FastAPI()
app.include_router(chatkit_router(GreetingServer(SQLiteStore("chatkit.db")), context=signed_in))
app.router.routes.extend(ui_routes(path="/chat/", page=ChatPage(title="Chat")))


@app.get("/")
def home(session: Session = None) -> HTMLResponse:
    """Shows the form, or who is signed in."""
    user = accounts.user(session)
    if user is None:
        return HTMLResponse(FORM)
    sign_out = '<form method="post" action="/sign-out"><button>Sign out</button></form>'
    return HTMLResponse(f'<p>Signed in as {escape(user)}: <a href="/chat/">chat</a></p>{sign_out}')


@app.post("/sign-in")
def sign_in(request: Request, name: Annotated[str, Form()], password: Annotated[str, Form()]) -> Response:
    """Begins a session, which the browser keeps as a cookie that scripts cannot read."""
    token = accounts.sign_in(name, password)
    if token is None:
        return HTMLResponse(f"<p>Name and password do not fit.</p>{FORM}", 401)
    answer = RedirectResponse("/chat/", 303)
    is_https = request.url.scheme == "https"
    answer.set_cookie("session", token, httponly=True, samesite="lax", secure=is_https)
    return answer


@app.post("/sign-out")
def sign_out(session: Session = None) -> RedirectResponse:
    """Ends the session."""
    accounts.sign_out(session)
    answer = RedirectResponse("/", 303)
    answer.delete_cookie("session")
    return answer
