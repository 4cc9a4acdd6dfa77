"""The application that uvicorn serves."""

from typing import cast

from chat import server
from django.core.asgi import get_asgi_application
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from chatkit.web import server_lifespan, ui_routes

# Django itself is not told of start and end. What is in front of it is: it finishes at the start what a crash cut off,
# and ends running answers in order when the process is asked to end. It also serves the element, /ui/chatkit.js.
application = Starlette(
    routes=[*ui_routes(path="/ui/"), Mount("/", cast("ASGIApp", get_asgi_application()))],
    lifespan=server_lifespan(server),
)
