"""How ``chatkit serve`` authenticates requests: a single user, tokens of an OpenID Connect issuer, or a function."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from chatkit.cli.options import CommandError, setting
from chatkit.cli.target import load

if TYPE_CHECKING:
    from chatkit.cli.serve import ServeSettings

__all__ = ["AUTH_KINDS", "chosen_auth", "oidc_context", "served_context"]

AUTH_KINDS: Final = ("oidc",)
"""Kinds of sign-in that the command brings."""


def chosen_auth(given: str | None) -> str | None:
    """Returns the kind of sign-in that was ``given``, otherwise that of ``CHATKIT_AUTH``; None for none."""
    auth = given or setting("CHATKIT_AUTH")
    if auth is not None and auth not in AUTH_KINDS:
        raise CommandError(f"CHATKIT_AUTH is one of {', '.join(AUTH_KINDS)}, not {auth!r}.")
    return auth


def served_context(settings: ServeSettings) -> Any:
    """Returns what makes the context of a request, by the settings.

    Raises:
        CommandError: There is no such function, or other settings do not go with it.
    """
    from chatkit.web import single_user
    from chatkit.web.auth import is_single_user
    from chatkit.web.origins import check_origins

    if settings.auth is not None:
        context = oidc_context(settings.oidc_issuer, settings.oidc_audience)
    elif settings.context is not None:
        context: Any = load(settings.context, "--context")
    else:
        context = single_user()
    if inspect.isclass(context) or not callable(context):
        raise CommandError(
            f"{settings.context} is not a function that takes a request and returns its context."
        )
    if not is_single_user(context):
        if settings.allow_host:
            raise CommandError(
                "--allow-host is for single-user mode; with --context and --auth the server answers under any name. "
                "Leave it out."
            )
        return context
    if "*" in check_origins("--cors", settings.cors):
        raise CommandError(
            "--cors '*' in single-user mode would let every page on the web read and write all threads. Name the "
            "origins of your pages, such as --cors http://localhost:5173, or sign users in with --context."
        )
    if settings.sign_in_url:
        raise CommandError(
            "--sign-in-url leads users who are not signed in to where they can; in single-user mode nobody signs in. "
            "Leave it out, or give --context or --auth."
        )
    return context


def oidc_context(issuer: str | None, audience: str | None) -> Any:
    """Returns a context factory for tokens of an OpenID Connect issuer; it is not asked yet.

    Args:
        issuer: Its address.
        audience: For whom tokens are.

    Raises:
        CommandError: One of them is missing.
        MissingExtraError: What checks tokens is not installed.
    """
    if not (issuer and audience):
        raise CommandError(
            "--auth oidc needs to know who signs users in, --oidc-issuer https://..., and for whom the tokens are, "
            "--oidc-audience NAME."
        )
    from chatkit.web import JWTContext

    return JWTContext(issuer=issuer, audience=audience)
