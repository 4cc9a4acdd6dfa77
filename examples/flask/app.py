"""A Flask application whose users sign in, and chat through a synchronous view."""

import os
from collections.abc import AsyncIterator
from importlib.resources import as_file, files

from bridge import Bridge
from flask import Flask, Response, render_template_string, request, send_from_directory, session
from werkzeug.security import check_password_hash, generate_password_hash

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

Context = dict[str, str]

PASSWORDS = {"ada": generate_password_hash("analytical"), "grace": generate_password_hash("nanosecond")}


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


app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY", "for a trial on this machine")
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
app.config["MAX_CONTENT_LENGTH"] = 2 * 1024 * 1024
chat = Bridge(GreetingServer(SQLiteStore("chatkit.db")))


@app.post("/chatkit")
def chatkit() -> Response:
    """Speaks the protocol; Flask's session says who asks."""
    if "user" not in session:
        return Response("Sign in first.", 401)
    if not request.is_json:
        # What a form of another site could send is not taken.
        return Response("Send JSON.", 415)
    answer = chat.answer(request.get_data(), {"user_id": session["user"]})
    return Response(
        answer.body, answer.status, content_type=answer.media_type, headers={"Cache-Control": "no-cache"}
    )


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


@app.get("/ui/<path:name>")
def element(name: str) -> Response:
    """Serves the element and what it loads."""
    with as_file(files("chatkit.web") / "static") as folder:
        return send_from_directory(folder, name)


FORM = """<!doctype html><title>Sign in</title><form method="post" action="/sign-in">
<input name="name" placeholder="Name"> <input name="password" type="password"> <button>Sign in</button></form>"""

PAGE = """<!doctype html><title>Chat</title>
<form method="post" action="/sign-out"><button>Sign out {{ session.user }}</button></form>
<openai-chatkit id="chat" style="display: block; height: 80vh"></openai-chatkit>
<script src="/ui/chatkit.js" async></script>
<script type="module">
  await customElements.whenDefined("openai-chatkit");
  document.getElementById("chat").setOptions({ api: { url: "/chatkit", domainKey: "unused" } });
</script>"""
