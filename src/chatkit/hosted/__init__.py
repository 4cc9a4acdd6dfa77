"""Hosted ChatKit on a server of one's own: sessions with client secrets, for pages and servers that used OpenAI's.

:func:`create_hosted_app` makes the application, :class:`HostedRoutes` the routes for one of one's own.
:class:`Sessions` is the port for tables of sessions of your own; ``chatkit.testing.SessionsContract`` tests them. The
names are imported when they are used; the application needs the extra ``chatkit-server[web]``.

Whose is what: a session's tenant, user and workflow are one owner in the stores, ``tenant/user/workflow`` with ``%``
and ``/`` in the parts escaped. A client secret is the session's id, its end and an HMAC of both under
``CHATKIT_SECRET``; the table of sessions has the rest. API keys are known by their SHA-256. The API finds a tenant's
threads by what their owners begin with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chatkit._lazy import lazy_names, needing_starlette

if TYPE_CHECKING:
    from chatkit.hosted.app import HostedRoutes, create_hosted_app
    from chatkit.hosted.context import HostedContext
    from chatkit.hosted.keys import hash_key, new_key
    from chatkit.hosted.models import Configuration, FileUpload, History, Session, Switch, Workflow
    from chatkit.hosted.postgres import PostgresSessions
    from chatkit.hosted.redis import RedisSessions
    from chatkit.hosted.sessions import MemorySessions, Sessions
    from chatkit.hosted.sqlite import SQLiteSessions

__all__ = [
    "Configuration",
    "FileUpload",
    "History",
    "HostedContext",
    "HostedRoutes",
    "MemorySessions",
    "PostgresSessions",
    "RedisSessions",
    "SQLiteSessions",
    "Session",
    "Sessions",
    "Switch",
    "Workflow",
    "create_hosted_app",
    "hash_key",
    "new_key",
]

_NAMES: Final = {
    "app": ("HostedRoutes", "create_hosted_app"),
    "context": ("HostedContext",),
    "keys": ("hash_key", "new_key"),
    "models": ("Configuration", "FileUpload", "History", "Session", "Switch", "Workflow"),
    "postgres": ("PostgresSessions",),
    "redis": ("RedisSessions",),
    "sessions": ("MemorySessions", "Sessions"),
    "sqlite": ("SQLiteSessions",),
}
_load, __dir__ = lazy_names(
    __name__, __all__, {name: module for module, names in _NAMES.items() for name in names}
)
__getattr__ = needing_starlette(__name__, _load)
