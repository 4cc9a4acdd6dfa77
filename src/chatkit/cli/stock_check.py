"""``chatkit stock-check``: serves a page that drives the stock element, and prints what it finds."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from chatkit.cli.console import printable
from chatkit.cli.hosts import LocalHosts
from chatkit.cli.options import CommandError
from chatkit.errors import MissingExtraError

try:
    import uvicorn
except ImportError as error:  # pragma: no cover - needs an environment without the extra
    raise MissingExtraError("Serving needs more packages: pip install 'chatkit-server[serve]'") from error

__all__ = ["DOMAIN_KEY", "STOCK_SCRIPT", "stock_check"]

STOCK_SCRIPT: Final = "https://cdn.platform.openai.com/deployments/chatkit/chatkit.js"
DOMAIN_KEY: Final = "domain_pk_localhost_dev"
"""On pages of localhost the stock element takes any."""

_HOST: Final = "localhost"
_SERVER: Final = "chatkit.demo.stock_check"


def stock_check(*, script: str, domain_key: str, port: int) -> int:
    """Serves the page until Ctrl-C, and prints each report; returns the exit code.

    Args:
        script: The address of the element's script.
        domain_key: What the element gets as ``domainKey``.
        port: Where to listen on this machine; 0 for a free port.

    Raises:
        CommandError: The address of the script is none, or the port cannot be listened on.
    """
    parts = urlsplit(script)
    if not (parts.scheme in {"http", "https"} and parts.netloc) and not script.startswith("/"):
        raise CommandError(
            f"--script is a URL, or a path of this server such as /chatkit.js, not {script!r}."
        )
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise CommandError(
            f"Cannot listen on port {port} of this machine ({error.strerror}); choose another with --port."
        ) from error
    with listener, tempfile.TemporaryDirectory(prefix="chatkit-stock-check-") as folder:
        # What is signed is for this process alone.
        os.environ.setdefault("CHATKIT_SECRET", secrets.token_hex(32))
        origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else None
        server = import_module(_SERVER)
        check = server.StockCheck(
            script=script, domain_key=domain_key, origin=origin, files=Path(folder), tell=_print_report
        )
        application = LocalHosts(server.make_app(check), (_HOST,), [] if origin is None else [origin])
        config = uvicorn.Config(
            application, log_level="warning", timeout_graceful_shutdown=2, access_log=False
        )
        print(
            f"Open http://{_HOST}:{listener.getsockname()[1]}/ in a browser that is online, and press Start.\n"
            f"Listening on http://{_HOST}:{listener.getsockname()[1]} (Ctrl-C stops)",
            flush=True,
        )
        try:
            uvicorn.Server(config).run([listener])
        except KeyboardInterrupt:
            return 0
    return 0


def _print_report(text: str) -> None:
    # It quotes what the element said.
    print(f"\n{printable(text)}\n", flush=True)
