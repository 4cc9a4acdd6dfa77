"""HTTP for a server: a Starlette application, and the parts to build one's own.

The router for FastAPI is :func:`chatkit.web.fastapi.chatkit_router`. This package needs the extra
``chatkit-server[web]``, the router ``chatkit-server[fastapi]``; importing it alone needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from chatkit.errors import MissingExtraError

if TYPE_CHECKING:
    from chatkit.web.app import create_app, server_lifespan
    from chatkit.web.auth import ContextFactory, api_keys, bearer, single_user
    from chatkit.web.errors import install_error_handlers
    from chatkit.web.jwt import JWTContext
    from chatkit.web.response import EventStreamResponse
    from chatkit.web.ui import Page, Prompt, ui_is_built, ui_routes
    from chatkit.web.uploads import Uploads

__all__ = [
    "ContextFactory",
    "EventStreamResponse",
    "JWTContext",
    "Page",
    "Prompt",
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

_MODULES: Final = {
    "ContextFactory": "auth",
    "EventStreamResponse": "response",
    "JWTContext": "jwt",
    "Page": "ui",
    "Prompt": "ui",
    "Uploads": "uploads",
    "api_keys": "auth",
    "bearer": "auth",
    "create_app": "app",
    "install_error_handlers": "errors",
    "server_lifespan": "app",
    "single_user": "auth",
    "ui_is_built": "ui",
    "ui_routes": "ui",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"anyio", "starlette"}:
            raise
        raise MissingExtraError(
            f"chatkit.web.{name} needs Starlette: pip install 'chatkit-server[web]'."
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
