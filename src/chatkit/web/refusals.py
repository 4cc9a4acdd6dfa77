"""Refused sign-ins, told to the audit log of a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request

from chatkit.errors import ChatKitError
from chatkit.server.auditing import auditing_of, is_audited

if TYPE_CHECKING:
    from chatkit.server import ChatKitServer

__all__ = ["note_refusal"]

_REFUSED: Final = {401, 403}
_CREDENTIALS: Final = ("authorization", "cookie")


async def note_refusal(servers: Iterable[ChatKitServer[Any]], request: Request, error: Exception) -> None:
    """Counts a refused sign-in for the audit log of the first server that has one; does nothing for other errors.

    Args:
        servers: The servers.
        request: The request.
        error: Why it was refused.
    """
    if isinstance(error, ChatKitError):
        status, code = error.status, cast("str", getattr(error.code, "value", error.code))
    elif isinstance(error, HTTPException):
        status, code = error.status_code, f"http_{error.status_code}"
    else:
        return
    server = next((server for server in servers if is_audited(server)), None)
    if status not in _REFUSED or server is None:
        return
    address = None if request.client is None else request.client.host
    credentials = any(name in request.headers for name in _CREDENTIALS)
    await auditing_of(server).refused(address, code, has_credentials=credentials)
