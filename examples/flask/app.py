"""A Flask application whose users sign in, and chat: on a page of its own, or on the whole page, with files."""

import os
from collections.abc import AsyncIterator

from bridge import Bridge
from flask import Flask, Response, render_template_string, request, session
from starlette.requests import Request
from werkzeug.security import check_password_hash, generate_password_hash

from chatkit.errors import AuthenticationError
from chatkit.files import LocalFileStore
from chatkit.server import ChatKitServer
from chatkit.store import SQLiteStore
from chatkit.types import ThreadMetadata, UserMessageItem
from chatkit.web import ChatPage, create_app, ui_routes

Context = dict[str, str]

PASSWORDS = {"ada": generate_password_hash("analytical"), "grace": generate_password_hash("nanosecond")}


class GreetingServer(ChatKitServer[Context]):
    """Greets the user by name, repeats the message, and says how many files came with it."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Context
    ) -> AsyncIterator[str]:
        text = "".join(part.text for part in input.content) if input else ""
        for word in f"{context['user_id']}, you said: {text}".split(" "):
            yield word + " "
        if input and input.attachments:
            yield f"({len(input.attachments)} files)"


def signed_in(request: Request) -> Context:
    """Returns the context of a request, whose user the view below names."""
    if request.user is None:
        raise AuthenticationError
    return {"user_id": request.user}


server = GreetingServer(SQLiteStore("chatkit.db"), file_store=LocalFileStore("chatkit-files"))
page = ChatPage(title="Chat", attachments=True)
chat = Bridge(create_app(server, context=signed_in, routes=ui_routes(path="/chat/", page=page)))

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY", "for a trial on this machine")
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"

METHODS = ["GET", "HEAD", "POST", "PUT", "OPTIONS"]


@app.route("/chatkit", methods=METHODS)
@app.route("/chatkit/<path:rest>", methods=METHODS)
@app.route("/chat/", methods=METHODS)
@app.route("/chat/<path:rest>", methods=METHODS)
def chatkit(rest: str = "") -> Response:
    """Hands what belongs to the chat over to it: the protocol, files, the page. Flask's session says who asks."""
    answer = chat.answer(request.environ, session.get("user"))
    return Response(answer.body, answer.status, answer.headers)


@app.get("/")
def home() -> str:
    """Shows the chat, or the form to sign in."""
    return render_template_string(PAGE if "user" in session else FORM)


@app.post("/sign-in")
def sign_in() -> Response | tuple[str, int]:
    """Begins a session."""
    name = request.form.get("name", "")
    if not check_password_hash(PASSWORDS.get(name, ""), request.form.get("password", "")):
        return render_template_string(FORM), 401
    session["user"] = name
    return Response(status=303, headers={"Location": "/"})


@app.post("/sign-out")
def sign_out() -> Response:
    """Ends the session."""
    session.clear()
    return Response(status=303, headers={"Location": "/"})


FORM = """<!doctype html><title>Sign in</title><form method="post" action="/sign-in">
<input name="name" placeholder="Name"> <input name="password" type="password"> <button>Sign in</button></form>"""

PAGE = """<!doctype html><title>Chat</title>
<form method="post" action="/sign-out"><button>Sign out {{ session.user }}</button></form>
<p><a href="/chat/">The whole page</a></p>
<openai-chatkit id="chat" style="display: block; height: 80vh"></openai-chatkit>
<script src="/chat/chatkit.js" async></script>
<script type="module">
  await customElements.whenDefined("openai-chatkit");
  document.getElementById("chat").setOptions({
    api: { url: "/chatkit", domainKey: "unused" },
    composer: { attachments: { enabled: true } },
  });
</script>"""
