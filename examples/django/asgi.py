"""The application that uvicorn serves: the chat in front, and Django behind it for everything else."""

from typing import cast

from chat import server
from django.core.asgi import get_asgi_application
from sessions import signed_in
from starlette.routing import Mount
from starlette.types import ASGIApp

from chatkit.web import ChatPage, create_app, ui_routes

# Django itself is not told of start and end. What is in front of it is: it finishes at the start what a crash cut off,
# and ends running answers in order when the process is asked to end. The whole page is at /chat/, with files; the
# element for pages of the project is /chat/chatkit.js.
application = create_app(
    server,
    context=signed_in,
    path="/chat/chatkit",
    routes=[
        *ui_routes(path="/chat/", chat="/chat/chatkit", page=ChatPage(title="Chat", attachments=True)),
        Mount("/", cast("ASGIApp", get_asgi_application())),
    ],
)
