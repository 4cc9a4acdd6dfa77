"""A server as a Starlette application, and the parts to build one's own.

The router for FastAPI is :func:`chatkit.web.fastapi.chatkit_router`. This package needs the extra
``chatkit-server[web]``, the router ``chatkit-server[fastapi]``; importing it alone needs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chatkit._lazy import lazy_names, needing_starlette

if TYPE_CHECKING:
    from chatkit.web.app import create_app, server_lifespan
    from chatkit.web.auth import ContextFactory, api_keys, bearer, single_user
    from chatkit.web.errors import install_error_handlers
    from chatkit.web.jwt import JWTContext
    from chatkit.web.request_ids import RequestIds
    from chatkit.web.response import EventStreamResponse
    from chatkit.web.ui import ChatPage, Page, Prompt, ui_is_built, ui_routes
    from chatkit.web.uploads import Uploads

__all__ = [
    "ChatPage",
    "ContextFactory",
    "EventStreamResponse",
    "JWTContext",
    "Page",
    "Prompt",
    "RequestIds",
    "Uploads",
    "api_keys",
    "bearer",
    "create_app",
    "install_error_handlers",
    "server_lifespan",
    "single_user",
    "ui_is_built",
    "ui_routes",
]

_NAMES: Final = {
    "app": ("create_app", "server_lifespan"),
    "auth": ("ContextFactory", "api_keys", "bearer", "single_user"),
    "errors": ("install_error_handlers",),
    "jwt": ("JWTContext",),
    "request_ids": ("RequestIds",),
    "response": ("EventStreamResponse",),
    "ui": ("ChatPage", "Page", "Prompt", "ui_is_built", "ui_routes"),
    "uploads": ("Uploads",),
}
_load, __dir__ = lazy_names(
    __name__, __all__, {name: module for module, names in _NAMES.items() for name in names}
)
__getattr__ = needing_starlette(__name__, _load)
