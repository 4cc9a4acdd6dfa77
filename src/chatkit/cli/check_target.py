"""Checks of ``chatkit check`` in the application: the target, and the function that makes contexts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

from chatkit._outages import place_of
from chatkit.cli.database import open_store
from chatkit.cli.findings import Finding, note, ok, problem
from chatkit.cli.model import find_model
from chatkit.cli.sign_in import oidc_context
from chatkit.cli.target import Target, load, missing_keys, resolve
from chatkit.errors import ChatKitError
from chatkit.store import MemoryStore, Store

__all__ = ["CheckedTarget", "check_context", "check_keys", "check_oidc", "check_target"]

_GUIDE = "no target: the built-in guide, which has no model, would be served"


class CheckedTarget(NamedTuple):
    """A target, with what was found; it is None where it cannot be served, and for the built-in assistant."""

    finding: Finding
    target: Target | None = None

    @property
    def gets_store(self) -> bool:
        """Whether it would be given the store of ``--db``, and with it files and stream log."""
        return self.target is None or self.target.got_store

    @property
    def is_application(self) -> bool:
        """Whether it is a whole application."""
        return self.target is not None and self.target.application is not None


def check_target(name: str | None, db: str) -> CheckedTarget:
    """Imports a target as ``chatkit serve`` does, and says what it is; its store is not opened."""
    if name is None:
        return CheckedTarget(_assistant())

    def make_store() -> Store[Any]:
        try:
            return open_store(db)
        except ChatKitError:
            # What is wrong with the database is found elsewhere.
            return MemoryStore()

    try:
        found = load(name, "TARGET")
        target = resolve(found, name, make_store)
    except ChatKitError as error:
        return CheckedTarget(problem("target", str(error)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- the application's own, and told
        return CheckedTarget(problem("target", f"{name} fails: {_told(error)}"))
    return CheckedTarget(ok("target", f"{name} is {_kind(found, target)}."), target)


def _assistant() -> Finding:
    try:
        model = find_model(None, None, None)
    except ChatKitError as error:
        return problem("target", str(error))
    if model is None:
        return note("target", f"There is {_GUIDE}. Name a target, or set OPENAI_API_KEY or OPENAI_BASE_URL.")
    return ok("target", f"There is no target: the built-in assistant would answer, with the model {model}.")


def _kind(found: object, target: Target) -> str:
    if target.server is None:
        return "an ASGI application, which is served as it is"
    server = type(target.server).__name__
    if found is target.server:
        return f"a ChatKitServer ({server}), with a store of its own"
    if inspect.isclass(found):
        return f"a subclass of ChatKitServer ({server}), which is given the store of --db"
    what = "a function" if inspect.isfunction(found) else f"an object of the type {type(found).__name__}"
    given = "the store of --db" if target.got_store else "no store"
    return f"{what}, which is given {given} and served as {server}"


def check_keys(checked: CheckedTarget) -> Iterator[Finding]:
    """Yields the keys of models that are not set."""
    if checked.target is not None:
        yield from (problem("model", line) for line in missing_keys(checked.target))


def check_context(name: str | None) -> Iterator[Finding]:
    """Yields what was found about ``--context``."""
    if name is None:
        yield note(
            "sign-in",
            "Single-user mode: no sign-in, everybody who reaches the port is the same user. For users of their own, "
            "give --context module:function.",
        )
        return
    try:
        context = load(name, "--context")
    except ChatKitError as error:
        yield problem("sign-in", str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- the application's own, and told
        yield problem("sign-in", f"{name} fails: {_told(error)}")
    else:
        if inspect.isclass(context) or not callable(context):
            yield problem(
                "sign-in", f"{name} is not a function that takes a request and returns its context."
            )
        else:
            yield ok("sign-in", f"{name} makes the context of each request.")


def check_oidc(issuer: str | None, audience: str | None) -> Finding:
    """Returns what was found about ``--auth oidc``, without asking the issuer."""
    try:
        oidc_context(issuer, audience)
    except ChatKitError as error:
        return problem("sign-in", str(error))
    return ok("sign-in", f"Users have a token of {issuer} for {audience}.")


def _told(error: BaseException) -> str:
    """Returns an error of the application with the place in it."""
    place = place_of(error)
    where = "" if place is None else f" ({place.filename}:{place.lineno})"
    return f"{type(error).__name__}: {error}{where}. Correct it there."
