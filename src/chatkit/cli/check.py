"""``chatkit check``: what is wrong with a setup, and what to do about it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from chatkit import __version__
from chatkit._secrets import OLD_SECRETS_VARIABLE, SECRET_VARIABLE
from chatkit.cli import serve_options
from chatkit.cli.check_places import check_database, check_files, check_log, check_secrets
from chatkit.cli.check_target import CheckedTarget, check_context, check_keys, check_oidc, check_target
from chatkit.cli.console import printable
from chatkit.cli.findings import Finding, ok, problem
from chatkit.cli.requirements import extras, find_misfits, with_source
from chatkit.cli.suggestions import suggest
from chatkit.dialects.openai_chatkit.installation import find_problem

__all__ = ["CheckOptions", "check"]


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The target and the options to check, with the meaning that they have for ``chatkit serve``."""

    target: str | None
    context: str | None
    auth: str | None
    oidc_issuer: str | None
    oidc_audience: str | None
    db: str
    files: str | None
    stream_log: str | None
    api_keys: str | None
    workflows: tuple[tuple[str, str], ...]


def check(options: CheckOptions, *, as_json: bool) -> int:
    """Prints what was found, as lines or ``as_json``, and returns the exit code: 1 if there is a problem, else 0."""
    findings = [replace(found, message=with_source(found.message)) for found in _findings(options)]
    problems = sum(finding.status == "problem" for finding in findings)
    if as_json:
        print(
            json.dumps({"ok": not problems, "findings": [asdict(finding) for finding in findings]}, indent=2)
        )
    else:
        for finding in findings:
            # It may quote a server.
            print(printable(f"{finding.status:<8} {finding.about:<13} {finding.message}"))
        print(
            f"{problems} {'problem' if problems == 1 else 'problems'}." if problems else "Nothing is wrong."
        )
    return 1 if problems else 0


def _findings(options: CheckOptions) -> Iterator[Finding]:
    yield from _installation()
    yield _page()
    yield from _variables()
    names = list(dict.fromkeys(name for _, name in options.workflows)) or [options.target]
    targets = [check_target(name, options.db) for name in names]
    for target in targets:
        yield target.finding
        yield from check_keys(target)
    # A whole application signs in by itself, and sessions of hosted ChatKit say who a user is.
    if options.auth:
        yield check_oidc(options.oidc_issuer, options.oidc_audience)
    elif options.context or not (options.workflows or all(target.is_application for target in targets)):
        yield from check_context(options.context)
    gets_store = any(target.gets_store for target in targets)
    yield from _extras(options, targets)
    yield from check_database(options.db, targets, given=gets_store)
    yield from check_log(options.stream_log, given=gets_store)
    yield from check_files(options.files, options.db, given=gets_store)
    yield from check_secrets(
        options.files,
        options.db,
        options.api_keys,
        is_hosted=bool(options.workflows or options.api_keys),
        targets=targets,
    )


def _installation() -> Iterator[Finding]:
    found = find_problem()
    if found is not None:
        yield problem("installation", found.message)
    else:
        yield ok("installation", f"chatkit-server {__version__} on Python {platform.python_version()}.")
    try:
        misfits = find_misfits()
    except ImportError:
        yield problem(
            "versions", "They cannot be compared without a package: pip install 'chatkit-server[serve]'."
        )
        return
    if misfits:
        for misfit in misfits:
            name = misfit.partition(" ")[0]
            yield problem("versions", f"{misfit}: pip install --upgrade 'chatkit-server' {name}.")
    else:
        yield ok("versions", "All packages that it uses are in versions that it takes.")


def _variables() -> Iterator[Finding]:
    """Yields the environment variables that look like misspelt settings; others are the application's."""
    parser = argparse.ArgumentParser()
    serve_options.add_options(parser)
    known = {*re.findall(r"CHATKIT_[A-Z_]+", parser.format_help()), SECRET_VARIABLE, OLD_SECRETS_VARIABLE}
    for name in sorted(os.environ):
        if name.startswith("CHATKIT_") and name not in known and (suggestion := suggest(name, known, 0.9)):
            yield problem("environment", f"{name} is no setting.{suggestion}")


def _extras(options: CheckOptions, targets: list[CheckedTarget]) -> Iterator[Finding]:
    try:
        found = {extra.name: extra.missing for extra in extras()}
    except ImportError:
        return
    needed: dict[str, str] = {}
    if not all(target.is_application for target in targets):
        needed["serve"] = "'chatkit serve'"
    for value in (options.db, options.stream_log or ""):
        if value.startswith(("postgresql://", "postgres://")):
            needed["postgres"] = "PostgreSQL"
    if (options.stream_log or "").startswith(("redis://", "rediss://", "unix://")):
        needed["redis"] = "Redis"
    if options.auth:
        needed["auth"] = "--auth"
    if (options.files or "").startswith("s3://"):
        needed["s3"] = "files in a bucket"
    for name, purpose in needed.items():
        if missing := found.get(name):
            yield problem(
                "extras",
                f"{purpose} needs {', '.join(missing)}: pip install 'chatkit-server[{name}]'.",
            )
    complete = [name for name, missing in found.items() if not missing]
    rest = [name for name, missing in found.items() if missing and name not in needed]
    yield ok(
        "extras",
        f"Installed: {', '.join(complete) or 'none'}. Not installed, and not needed here: "
        f"{', '.join(rest) or 'none'}.",
    )


def _page() -> Finding:
    try:
        from chatkit.web import ui_is_built
    except ImportError:
        return problem("page", "The page and its routes need packages: pip install 'chatkit-server[serve]'.")
    if ui_is_built():
        return ok("page", "This installation has the page and the element.")
    return problem(
        "page",
        "This installation was made without the page and the element: install chatkit-server from a wheel, or run "
        "scripts/ui in its checkout.",
    )
