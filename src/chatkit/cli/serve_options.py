"""The options of ``chatkit serve``, read into its settings."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from typing import Any, Final

from chatkit.cli.model import APIS, find_model
from chatkit.cli.options import (
    DEFAULT_DB,
    DEFAULT_LIMIT_CONCURRENCY,
    CommandError,
    add_db,
    count,
    lease,
    listed,
    listening_address,
    port,
    quota,
    root_path,
    seconds,
    setting,
    timeout,
    traces,
    workers,
    workflow,
)
from chatkit.cli.sign_in import AUTH_KINDS, chosen_auth
from chatkit.limits import Limits
from chatkit.personal_data.retention import RetentionRule

__all__ = ["DESCRIPTION", "add_options"]

_LOG_FORMATS: Final = ("text", "json")
_LOG_LEVELS: Final = ("critical", "error", "warning", "info", "debug", "trace")

DESCRIPTION: Final = """\
Serve a chat over HTTP, at /chatkit.

TARGET is module:attribute, looked for in the working folder first:
  a ChatKitServer        served as it is
  a subclass of it       constructed with the store of --db
  a function             called with that store, or without arguments; returns a ChatKitServer
  an agent               served with the store of --db: an Agent of the OpenAI Agents SDK or of Pydantic AI, a
                         compiled graph of LangGraph, or an async generator function that takes a text
  an ASGI application    served as it is; it has its own --cors and --context
Without an attribute, 'shop' or 'shop.py', it is server, app or agent, whichever the module has first.
--db is for targets that get a store (a SQLiteStore, or a PostgresStore), and so are --files and --stream-log, where
they have no file store or stream log of their own. Links to files are signed with CHATKIT_SECRET; without it a secret
is made and kept in the folder of the files.

Without a target the built-in assistant answers. Set OPENAI_API_KEY for a model of OpenAI, or OPENAI_BASE_URL for one
behind any endpoint of that kind (Ollama, vLLM and others). With neither it is a guide that has no model.

Single-user mode is the default: there is no sign-in, everybody who reaches the port is the same user. For more
than one user give --context module:function; it gets each request and returns its context, with a user_id. Or give
--auth oidc, for users with a token of an OpenID Connect issuer; the function is chatkit.web.JWTContext then.

With --hosted it takes the place of OpenAI's hosted ChatKit: each --workflow has its TARGET, servers with a key of
--api-keys open sessions at /v1/chatkit/sessions, and pages talk at /chatkit with the client secret of a session.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds all options, and what runs with them."""
    parser.set_defaults(run=_serve)
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        default=setting("CHATKIT_TARGET"),
        help="what to serve (CHATKIT_TARGET)",
    )
    add_db(parser)

    def add(option: str, what: str, default: str | None = None, *, read: bool = True, **more: Any) -> None:
        """Adds an option whose default is the environment's, unless that is not to be ``read`` yet."""
        variable = f"CHATKIT_{option[2:].replace('-', '_').upper()}"
        found = setting(variable, default) if read else None
        parser.add_argument(option, default=found, help=f"{what} ({variable})", **more)

    add(
        "--files",
        "attached files: a folder, 's3://bucket/prefix?region=...&endpoint=...' with the credentials of "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or 'off' to take none; default chatkit-files beside chatkit.db",
        read=False,
        metavar="FOLDER",
    )
    add(
        "--stream-log",
        "where workers share running turns: redis://host:6379/0, rediss:// or postgresql://...; default the "
        "database of the threads, which workers share: those of one machine if it is SQLite",
        read=False,
        metavar="URL",
    )
    add(
        "--lease",
        "how long turns are a worker's that shows no sign of life; default 10",
        type=lease,
        metavar="SECONDS",
    )
    add(
        "--drain-seconds",
        "how long running turns may go on when the process is asked to end; default 0",
        "0",
        type=seconds,
        metavar="SECONDS",
    )
    add(
        "--model",
        "the assistant's model; default gpt-5-mini at OpenAI, the first that is listed elsewhere",
        read=False,
        metavar="NAME",
    )
    add(
        "--api",
        "what the model's endpoint speaks; default responses at OpenAI, chat elsewhere",
        read=False,
        choices=APIS,
    )
    add("--host", "address to listen on; default 127.0.0.1", "127.0.0.1")
    add("--port", "port to listen on, 0 for a free one; default 8000", "8000", type=port)
    parser.add_argument(
        "--cors",
        action="append",
        metavar="ORIGIN",
        help="an origin whose pages may use the chat, such as http://localhost:5173; repeatable "
        "(CHATKIT_CORS, separated by commas)",
    )
    add("--context", "makes the context of a request; default single-user", metavar="MODULE:FUNCTION")
    add(
        "--auth",
        "who signs users in, without a function of yours: 'oidc' lets in who has a token of an OpenID Connect issuer",
        read=False,
        choices=AUTH_KINDS,
    )
    parser.add_argument(
        "--oidc-issuer",
        metavar="URL",
        default=setting("OIDC_ISSUER"),
        help="for --auth oidc: who made the tokens, to the letter of their claim 'iss' (OIDC_ISSUER)",
    )
    parser.add_argument(
        "--oidc-audience",
        metavar="NAME",
        default=setting("OIDC_AUDIENCE"),
        help="for --auth oidc: for whom they are, their claim 'aud' (OIDC_AUDIENCE)",
    )
    add(
        "--sign-in-url",
        "where the page leads users who are not signed in: a path or an address, which gets the page's own to come "
        "back to where it has '{page}', otherwise as parameter 'next'",
        metavar="URL",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        metavar="NAME",
        help="a name by which a single-user server is known besides localhost and addresses, such as chat.home; "
        "repeatable (CHATKIT_ALLOW_HOSTS, separated by commas)",
    )
    add(
        "--root-path",
        "the path that a proxy in front takes off before it passes requests on, such as /chat",
        "",
        type=root_path,
        metavar="PATH",
    )
    add("--title", "the name of the page, in its sidebar and the browser's tab; default Chat", metavar="TEXT")
    parser.add_argument(
        "--dev",
        action="store_true",
        help="for development, on this machine and for a single user: start again when a .py or .widget file of the "
        "working folder changes, show the text of exceptions in the chat, and name handlers that block the event loop "
        "for half a second",
    )
    parser.add_argument(
        "--hosted",
        action="store_true",
        help="serve hosted ChatKit: sessions with client secrets, in the place of OpenAI's",
    )
    parser.add_argument(
        "--workflow",
        type=workflow,
        action="append",
        metavar="ID=TARGET",
        help="a workflow of hosted ChatKit; repeatable (CHATKIT_WORKFLOWS, separated by commas)",
    )
    add(
        "--api-keys",
        "the file with the hashes of the API keys, which 'chatkit hosted key' writes",
        read=False,
        metavar="FILE",
    )
    parser.add_argument(
        "--single-user",
        action="store_true",
        help="the default, to say it explicitly: no sign-in, everybody is the same user",
    )
    add(
        "--workers",
        "processes; more than one needs a stream log that they share; default 1",
        "1",
        type=workers,
    )
    add(
        "--limit-concurrency",
        "connections of a process, above which new requests are answered with 503; default "
        f"{DEFAULT_LIMIT_CONCURRENCY}",
        str(DEFAULT_LIMIT_CONCURRENCY),
        type=count,
        metavar="N",
    )
    add(
        "--request-timeout",
        "how long the head of a request may take, and each further part of its body; default 20",
        "20",
        type=timeout,
        metavar="SECONDS",
    )
    usual = Limits().for_service()
    add(
        "--max-body-bytes",
        f"bytes of a request's body; default {usual.body_bytes}",
        type=count,
        metavar="N",
    )
    add(
        "--running-turns",
        f"answers of one user that run at once; default {usual.running_turns_per_owner}",
        type=count,
        metavar="N",
    )
    add(
        "--kept-bytes",
        "bytes of one user's answers that are kept for readers to come back; default "
        f"{usual.kept_bytes_per_owner}",
        type=count,
        metavar="N",
    )
    parser.add_argument(
        "--create",
        action="store_true",
        help="make the folder of the database if it does not exist",
    )
    parser.add_argument(
        "--quota",
        type=quota,
        action="append",
        metavar="WHAT=N/WINDOW",
        help="what one user may ask for, counted over all workers, such as messages=20/minute: messages, requests, "
        "uploads, upload_bytes, tokens or cost, in a second, minute, hour, day or number of seconds; or, without a "
        "window, running_turns, stored_bytes or unclaimed_files; repeatable (CHATKIT_QUOTAS, separated by commas)",
    )
    parser.add_argument(
        "--retention",
        action="append",
        metavar="RULE",
        help="how long threads are kept in which nothing happens, such as 365d, or 'acme/*=30d' for owners that fit a "
        "pattern; the first rule that fits counts; repeatable (CHATKIT_RETENTION, separated by commas)",
    )
    add("--prices", "what a million tokens of each model cost, a TOML or JSON file", metavar="FILE")
    parser.add_argument(
        "--unbounded-calls",
        action="store_true",
        help="where a quota of tokens or cost cannot reserve the most that a call of a model uses, let it be made",
    )
    parser.add_argument(
        "--audit",
        action="store_true",
        help="record refused sign-ins, deletions and changes of limits in the audit log, which 'chatkit audit' reads",
    )
    add("--audit-db", "where the audit log is, for --audit; default the database of --db", metavar="DATABASE")
    add(
        "--audit-head",
        "a file that gets a line now and then with the number and hash of the last entry, for 'chatkit audit verify'; "
        "keep it where who can write the database cannot",
        metavar="FILE",
    )
    add(
        "--metrics",
        "where Prometheus finds metrics: a port of 127.0.0.1, or an address and a port; they need no token. Default "
        "nowhere",
        type=listening_address,
        metavar="[HOST:]PORT",
    )
    add(
        "--traces",
        "spans for OpenTelemetry's SDK, if one is set up: 'on', 'storage' for calls of database and log too, 'content' "
        "for what users, models and tools say; default off",
        "off",
        type=traces,
        metavar="WHAT",
    )
    add("--log-level", "how much to log; default warning", "warning", choices=_LOG_LEVELS)
    add("--log-format", "how a record is written; default text", "text", choices=_LOG_FORMATS)


def _serve(arguments: argparse.Namespace) -> int:
    from chatkit.cli.serve import ServeSettings, serve
    from chatkit.dialects.openai_chatkit.installation import find_problem

    problem = find_problem()
    if problem is not None:
        print(f"WARNING: {problem.message}", file=sys.stderr)
    if arguments.log_level not in _LOG_LEVELS:
        raise CommandError(
            f"CHATKIT_LOG_LEVEL is one of {', '.join(_LOG_LEVELS)}, not {arguments.log_level!r}."
        )
    if arguments.log_format not in _LOG_FORMATS:
        raise CommandError(f"CHATKIT_LOG_FORMAT is text or json, not {arguments.log_format!r}.")
    try:
        quotas = arguments.quota or [quota(entry) for entry in listed("CHATKIT_QUOTAS")]
    except argparse.ArgumentTypeError as error:
        raise CommandError(f"CHATKIT_QUOTAS: {error}") from None
    rules = arguments.retention or listed("CHATKIT_RETENTION")
    for rule in rules:
        RetentionRule.parse(rule)
    try:
        workflows = arguments.workflow or [workflow(entry) for entry in listed("CHATKIT_WORKFLOWS")]
    except argparse.ArgumentTypeError as error:
        raise CommandError(f"CHATKIT_WORKFLOWS: {error}.") from None
    if arguments.workflow and not arguments.hosted:
        raise CommandError("--workflow is for hosted ChatKit: give --hosted, too.")
    if arguments.api_keys is not None and not arguments.hosted:
        raise CommandError("--api-keys is for hosted ChatKit: give --hosted, too.")
    if (arguments.audit_db or arguments.audit_head) and not arguments.audit:
        raise CommandError("--audit-db and --audit-head are for the audit log: give --audit, too.")
    if arguments.single_user and arguments.hosted:
        raise CommandError("--single-user and --hosted exclude each other.")
    if arguments.single_user and arguments.context:
        raise CommandError("--single-user and --context exclude each other.")
    auth = None if arguments.single_user or arguments.hosted else chosen_auth(arguments.auth)
    if arguments.auth and auth is None:
        raise CommandError("--auth excludes --single-user and --hosted.")
    if auth is not None and arguments.context:
        raise CommandError("--auth and --context exclude each other: each says who sends a request.")
    options: dict[str, Any] = {
        **vars(arguments),
        "asked_for": tuple(
            name for name in ("db", "files", "stream_log") if getattr(arguments, name) is not None
        ),
        "db": arguments.db or setting("CHATKIT_DB", DEFAULT_DB),
        "files": arguments.files or setting("CHATKIT_FILES"),
        "stream_log": arguments.stream_log or setting("CHATKIT_STREAM_LOG"),
        "model": None if arguments.hosted else find_model(arguments.model, arguments.api, arguments.target),
        "auth": auth,
        "quotas": tuple(quotas),
        "retention": tuple(rules),
        "workflows": tuple(workflows),
        "api_keys": arguments.api_keys or setting("CHATKIT_API_KEYS"),
        "cors": tuple(arguments.cors or listed("CHATKIT_CORS")),
        "allow_host": tuple(arguments.allow_host or listed("CHATKIT_ALLOW_HOSTS")),
    }
    names = {field.name for field in fields(ServeSettings)}
    return serve(ServeSettings(**{name: value for name, value in options.items() if name in names}))
