"""A page of an application's own with the element in it, with or without a content security policy."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from chatkit.web import ui_routes

__all__ = ["POLICY", "TRUSTED_TYPES", "host_routes"]

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:"
)
"""No inline styles, no eval, nothing from elsewhere."""

TRUSTED_TYPES: Final = "require-trusted-types-for 'script'; trusted-types lit-html"
"""Text becomes markup by the policy of Lit, and by no other."""

_PAGE: Final = """<!doctype html><html lang="en"><title>Test</title><link rel="icon" href="data:,">
<body><openai-chatkit id="chat"></openai-chatkit>
<script src="/own.js"></script><script src="/ui/chatkit.js" async></script></body></html>"""

_OWN: Final = """
document.body.style.setProperty("margin", "0");
const chat = document.getElementById("chat");
chat.style.setProperty("height", "100vh");
window.seen = [];
for (const name of ["ready", "error", "effect", "deeplink", "response.start", "response.end", "log"])
  chat.addEventListener("chatkit." + name, event => seen.push([name, event.detail ?? null]));
window.apply = more => customElements.whenDefined("openai-chatkit").then(() =>
  chat.setOptions({ api: { url: "/chatkit", domainKey: "none" }, ...more }));
"""


def host_routes(*, traps: str = "") -> list[BaseRoute]:
    """Returns the routes of ``/page`` and ``/trusted``, which have strict policies, and of ``/open``, which has none.

    Args:
        traps: Script that all run before the element is there.
    """

    async def page(request: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": POLICY})

    async def trusted(request: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": f"{POLICY}; {TRUSTED_TYPES}"})

    async def without_policy(request: Request) -> Response:
        return HTMLResponse(_PAGE)

    async def own(request: Request) -> Response:
        return Response(traps + _OWN, media_type="text/javascript")

    return [
        Route("/page", page),
        Route("/trusted", trusted),
        Route("/open", without_policy),
        Route("/own.js", own),
        *ui_routes(path="/ui/"),
    ]
