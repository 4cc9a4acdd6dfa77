"""The options of ``chatkit check``."""

from __future__ import annotations

import argparse
from typing import Final

from chatkit.cli.options import DEFAULT_DB, add_db, listed, setting, workflow
from chatkit.cli.sign_in import AUTH_KINDS, chosen_auth

__all__ = ["DESCRIPTION", "add_options"]

DESCRIPTION: Final = """\
Say what is wrong with a setup, and what to do about it.

Looks at what 'chatkit serve' with the same options and environment would use: the installation, its extras and their
versions, the page, the target, who is asking, the database and its schema, the stream log, the files, and the secrets.
It imports the target, and changes nothing. The exit code is 1 if there is a problem, else 0.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds all options, and what runs with them."""
    parser.set_defaults(run=_check)
    parser.add_argument("target", nargs="?", metavar="TARGET", help="what is to be served (CHATKIT_TARGET)")
    add_db(parser)
    parser.add_argument("--files", metavar="FOLDER", help="as for 'chatkit serve' (CHATKIT_FILES)")
    parser.add_argument("--stream-log", metavar="URL", help="as for 'chatkit serve' (CHATKIT_STREAM_LOG)")
    parser.add_argument(
        "--context", metavar="MODULE:FUNCTION", help="as for 'chatkit serve' (CHATKIT_CONTEXT)"
    )
    parser.add_argument("--auth", choices=AUTH_KINDS, help="as for 'chatkit serve' (CHATKIT_AUTH)")
    parser.add_argument("--oidc-issuer", metavar="URL", help="as for 'chatkit serve' (OIDC_ISSUER)")
    parser.add_argument("--oidc-audience", metavar="NAME", help="as for 'chatkit serve' (OIDC_AUDIENCE)")
    parser.add_argument(
        "--workflow",
        type=workflow,
        action="append",
        metavar="ID=TARGET",
        help="as for 'chatkit serve --hosted'; repeatable (CHATKIT_WORKFLOWS, separated by commas)",
    )
    parser.add_argument(
        "--api-keys", metavar="FILE", help="as for 'chatkit serve --hosted' (CHATKIT_API_KEYS)"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def _check(arguments: argparse.Namespace) -> int:
    from chatkit.cli.check import CheckOptions, check

    options = CheckOptions(
        target=arguments.target or setting("CHATKIT_TARGET"),
        context=arguments.context or setting("CHATKIT_CONTEXT"),
        auth=chosen_auth(arguments.auth),
        oidc_issuer=arguments.oidc_issuer or setting("OIDC_ISSUER"),
        oidc_audience=arguments.oidc_audience or setting("OIDC_AUDIENCE"),
        db=arguments.db or setting("CHATKIT_DB", DEFAULT_DB) or DEFAULT_DB,
        files=arguments.files or setting("CHATKIT_FILES"),
        stream_log=arguments.stream_log or setting("CHATKIT_STREAM_LOG"),
        api_keys=arguments.api_keys or setting("CHATKIT_API_KEYS"),
        workflows=tuple(arguments.workflow or map(workflow, listed("CHATKIT_WORKFLOWS"))),
    )
    return check(options, as_json=arguments.json)
