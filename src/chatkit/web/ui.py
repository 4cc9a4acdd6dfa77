"""The routes of the element ``<openai-chatkit>`` and of the page of ``chatkit serve``."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import mimetypes
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chatkit._checks import check_fields
from chatkit.errors import ConfigurationError

__all__ = ["ChatPage", "Page", "Prompt", "ui_is_built", "ui_routes"]

STATIC: Final = Path(__file__).parent / "static"

_ENTRY: Final = "chatkit.js"
_SCRIPTS: Final = (_ENTRY, "resumable-fetch.js")
_PAGE: Final = "index.html"
_FOLDERS: Final = ("chunks", "assets")
_FOREVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_SMALLEST_TO_COMPRESS_BYTES: Final = 512
_TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_ADDRESS: Final = re.compile(r"(/(?!/)|https?://[^\s/])\S*")
"""A path from the root, or an address with its origin."""
_COMMON: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A suggestion of the page's start screen.

    Attributes:
        label: What the button says.
        prompt: The message that it sends.
        icon: An icon of ``chatkit.icons``, if any.
    """

    label: str
    prompt: str
    icon: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class ChatPage:
    """The page with the sidebar of threads.

    Attributes:
        title: Its name, in the sidebar and the browser's tab.
        prompts: Suggestions of the start screen.
        attachments: Whether files can be attached; the server needs a file store for that.
        feedback: Whether answers have thumbs.
        connect: Origins besides its own that it may talk to, such as that of a bucket for uploads.
        images: Where pictures may come from, in the words of a content security policy.
        sign_in_url: Where users sign in, who are led there when a request is answered with 401: a path of the same
            host, or an ``https://`` address. The page's own address, to come back to, stands where it has ``{page}``,
            otherwise in the parameter ``next``.
    """

    title: str = "Chat"
    prompts: Sequence[Prompt] = ()
    attachments: bool = False
    feedback: bool = True
    connect: Sequence[str] = ()
    images: Sequence[str] = ("https:",)
    sign_in_url: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        for source in (*self.connect, *self.images):
            if not source or any(char in source for char in "; ,\r\n\"'"):
                raise ConfigurationError(f"{source!r} is no source of a content security policy.")
        if self.sign_in_url is not None and not _ADDRESS.fullmatch(self.sign_in_url):
            raise ConfigurationError(
                f"ChatPage(sign_in_url=...) is a path such as '/sign-in', or an address such as "
                f"'https://sign-in.example.com/', not {self.sign_in_url!r}."
            )


Page = ChatPage
"""Its earlier name."""


def ui_is_built() -> bool:
    """Returns whether this installation has the element."""
    return (STATIC / _ENTRY).is_file()


def ui_routes(*, path: str = "/", chat: str = "/chatkit", page: ChatPage | None = None) -> list[BaseRoute]:
    """Returns the routes of the element, and of the page if there is to be one.

    A page of the application's own takes the element by ``<script src="/chatkit.js" async></script>``; one that keeps
    another element imports ``resumableFetch`` from ``/resumable-fetch.js``.

    Args:
        path: The folder of the routes, beginning and ending with a slash: ``"/assets/chat/"`` puts the element at
            ``/assets/chat/chatkit.js``.
        chat: Where the protocol is spoken, for the page.
        page: The page at ``path``; None leaves it out.

    Raises:
        ConfigurationError: The path is not as it should be, or this installation was made without the element.
    """
    if not (path.startswith("/") and path.endswith("/")):
        raise ConfigurationError(f"path={path!r} must begin and end with a slash.")
    if not ui_is_built():
        raise ConfigurationError(
            f"This installation of chatkit-server has no user interface: {STATIC / _ENTRY} is missing. Install it from "
            "a wheel, or build it in a checkout with scripts/ui."
        )

    def script(name: str) -> Route:
        async def entry(request: Request) -> Response:
            return _answer(request, _files().get(name), _ASK_AGAIN)

        return Route(f"{path}{name}", entry, methods=["GET"])

    def folder(name: str) -> Route:
        async def hashed(request: Request) -> Response:
            found = _files().get(f"{name}/{request.path_params['file']}")
            # The icon is the one file there whose name does not change with its content.
            lasting = found is not None and not found.name.endswith(".svg")
            return _answer(request, found, _FOREVER if lasting else _ASK_AGAIN)

        return Route(f"{path}{name}/{{file}}", hashed, methods=["GET"])

    routes: list[BaseRoute] = [*map(script, _SCRIPTS), *map(folder, _FOLDERS)]
    if page is not None:
        routes.append(Route(path, _page_endpoint(page, path, chat), methods=["GET"]))
    return routes


class _File(NamedTuple):
    name: str
    content: bytes
    compressed: bytes | None
    media_type: str
    etag: str


@cache
def _files() -> dict[str, _File]:
    """The files of the build by their path below ``static``, which do not change while the process runs."""
    found: dict[str, _File] = {}
    for path in STATIC.rglob("*"):
        name = path.relative_to(STATIC).as_posix()
        if path.is_file() and name != _PAGE:
            kind = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
            found[name] = _as_file(name, path.read_bytes(), kind)
    return found


def _as_file(name: str, content: bytes, media_type: str) -> _File:
    compressed = gzip.compress(content, mtime=0) if len(content) >= _SMALLEST_TO_COMPRESS_BYTES else None
    return _File(name, content, compressed, media_type, f'"{hashlib.sha256(content).hexdigest()[:24]}"')


def _answer(request: Request, file: _File | None, cache_control: str) -> Response:
    if file is None:
        return Response("Not found", status_code=404, media_type="text/plain", headers=_COMMON)
    # Pages of other origins may use the element; there is nothing secret in it.
    headers = {
        **_COMMON,
        "Cache-Control": cache_control,
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return _send(request, file, headers)


def _send(request: Request, file: _File, headers: dict[str, str]) -> Response:
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    content = file.content
    if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content = file.compressed
        headers["Content-Encoding"] = "gzip"
    headers["Content-Type"] = file.media_type
    return Response(content, headers=headers)


def _page_endpoint(page: ChatPage, path: str, chat: str) -> Callable[[Request], Awaitable[Response]]:
    text = (STATIC / _PAGE).read_text(encoding="utf-8")
    policy = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            " ".join(("connect-src 'self'", *page.connect)),
            " ".join(("img-src 'self' data: blob:", *page.images)),
            "font-src 'self'",
            "media-src 'self' blob:",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )

    async def show(request: Request) -> Response:
        # With a proxy in front, or in another application, everything is below a path that only the request knows.
        root = request.scope.get("root_path", "").rstrip("/")
        options = {
            "url": f"{root}{chat}",
            "title": page.title,
            "attachments": page.attachments,
            "feedback": page.feedback,
            "prompts": [
                {"label": prompt.label, "prompt": prompt.prompt}
                | ({"icon": prompt.icon} if prompt.icon else {})
                for prompt in page.prompts
            ],
        }
        if page.sign_in_url is not None:
            is_path = page.sign_in_url.startswith("/")
            options["signIn"] = f"{root if is_path else ''}{page.sign_in_url}"
        content = (
            text.replace("@OPTIONS@", html.escape(json.dumps(options)))
            .replace("@BASE@", html.escape(f"{root}{path}"))
            .replace("<title>Chat</title>", f"<title>{html.escape(page.title)}</title>")
        ).encode()
        file = _as_file(_PAGE, content, "text/html; charset=utf-8")
        headers = {
            **_COMMON,
            "Cache-Control": _ASK_AGAIN,
            "Content-Security-Policy": policy,
            "ETag": file.etag,
            "Vary": "Accept-Encoding",
            "X-Frame-Options": "DENY",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
            "Cross-Origin-Opener-Policy": "same-origin",
        }
        return _send(request, file, headers)

    return show
