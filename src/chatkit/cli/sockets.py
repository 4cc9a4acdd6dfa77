"""The socket that ``chatkit serve`` listens on."""

from __future__ import annotations

import errno
import socket

from chatkit.cli.options import CommandError

__all__ = ["listen"]


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that takes connections; raises CommandError where it cannot."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((address[0], address[1]), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} of {host} is in use; stop what uses it, or choose another with --port"
        elif error.errno == errno.EACCES:
            reason = f"port {port} is reserved for the system; choose one above 1023 with --port"
        elif isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            reason = f"{host!r} is no address of this machine; choose another with --host"
        else:
            reason = f"cannot listen on port {port} of {host}: {error.strerror or error}"
        raise CommandError(reason) from error
