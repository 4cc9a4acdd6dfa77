"""The parser of the ``chatkit`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Final, cast

from chatkit import __version__
from chatkit.cli import hosted_import
from chatkit.cli.console import printable
from chatkit.cli.model import APIS, find_model
from chatkit.cli.options import (
    DEFAULT_DB,
    DEFAULT_LIMIT_CONCURRENCY,
    CommandError,
    count,
    header,
    lease,
    listed,
    port,
    root_path,
    seconds,
    setting,
    timeout,
    workers,
    workflow,
)
from chatkit.errors import ChatKitError
from chatkit.limits import Limits

__all__ = ["main"]

_LOG_LEVELS: Final = ("critical", "error", "warning", "info", "debug", "trace")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0, or 1 after one line on stderr that says what is wrong.

    Ctrl-C outside of a chat's prompts and answers gives 130.

    Args:
        argv: The arguments; by default those of the process.

    Raises:
        SystemExit: With code 2, for arguments that cannot be read; with 0 after ``--help`` and ``--version``.
    """
    arguments = _parser().parse_args(argv)
    run = cast("Callable[[argparse.Namespace], int]", arguments.run)
    try:
        return run(arguments)
    except ChatKitError as error:
        # It may quote a server.
        print(f"chatkit {arguments.command}: {printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        # What shells expect of a command that Ctrl-C ended.
        return 130
    except BrokenPipeError:
        # The reader of the output is gone, so that no one would see an error. The flush at exit would complain again.
        sys.stdout = None  # type: ignore[assignment] -- Python's own way to say that there is no output
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chatkit",
        description="Serve a ChatKit chat, talk to one, or look after its database.",
        epilog="Each option can also be set by the environment variable named with it; the option wins.",
    )
    parser.add_argument("--version", action="version", version=f"chatkit {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_serve(
        commands.add_parser("serve", help="serve a chat over HTTP", description=_SERVE, formatter_class=_Raw)
    )
    _add_chat(
        commands.add_parser("chat", help="chat in the terminal", description=_CHAT, formatter_class=_Raw)
    )
    _add_hosted(
        commands.add_parser(
            "hosted", help="look after hosted ChatKit", description=_HOSTED, formatter_class=_Raw
        )
    )
    migrating = commands.add_parser("migrate", help="bring a database up to date", description=_MIGRATE)
    migrating.set_defaults(run=_migrate)
    _add_db(migrating, default=setting("CHATKIT_DB", DEFAULT_DB))
    _add_stock_check(
        commands.add_parser(
            "stock-check",
            help="try the stock element with this server",
            description=_STOCK_CHECK,
            formatter_class=_Raw,
        )
    )
    return parser


_Raw = argparse.RawDescriptionHelpFormatter

_SERVE: Final = """\
Serve a chat over HTTP, at /chatkit.

TARGET is module:attribute, looked for in the working folder first:
  a ChatKitServer        served as it is
  a subclass of it       constructed with the store of --db
  a function             called with that store, or without arguments; returns a ChatKitServer
  an ASGI application    served as it is; it has its own --cors and --context
--db is for targets that get a store (a SQLiteStore, or a PostgresStore), and so are --files and --stream-log, where
they have no file store or stream log of their own. Links to files are signed with CHATKIT_SECRET; without it a secret
is made and kept in the folder of the files.

Without a target the built-in assistant answers. Set OPENAI_API_KEY for a model of OpenAI, or OPENAI_BASE_URL for one
behind any endpoint of that kind (Ollama, vLLM and others). With neither it is a guide that has no model.

Single-user mode is the default: there is no sign-in, everybody who reaches the port is the same user. For more
than one user give --context module:function; it gets each request and returns its context, with a user_id.

With --hosted it takes the place of OpenAI's hosted ChatKit: each --workflow has its TARGET, servers with a key of
--api-keys open sessions at /v1/chatkit/sessions, and pages talk at /chatkit with the client secret of a session.
"""

_CHAT: Final = """\
Chat in the terminal with any ChatKit endpoint.

URL is the endpoint; without a path, /chatkit is meant. Ctrl-C stops an answer; Ctrl-C twice or Ctrl-D leaves.
Lines piped in are sent as messages. Type /help in the chat for its commands.
"""

_HOSTED: Final = """\
Look after hosted ChatKit, which 'chatkit serve --hosted' serves in the place of OpenAI's.

  key TENANT    make an API key with which servers of a tenant open sessions
  import        bring threads along from OpenAI's, or from another server like it
"""

_KEY: Final = "Make an API key and print it. Only its hash is kept, in the file of --api-keys."

_MIGRATE: Final = "Bring an SQLite or PostgreSQL database to the newest schema. Serving does so too."

_STOCK_CHECK: Final = """\
Serve a page that tries the stock element of OpenAI's CDN with this server.

Open the page in a browser that is online: the script is loaded from the CDN, and the element talks to OpenAI for its
own ends. What it is asked to do is made up; threads and files are forgotten at the end. Some steps need you to press a
button in the chat. The result is a table, on the page and here, to paste into a report.
"""


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_serve)
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        default=setting("CHATKIT_TARGET"),
        help="what to serve (CHATKIT_TARGET)",
    )
    _add_db(parser)

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
    add("--log-level", "how much to log; default warning", "warning", choices=_LOG_LEVELS)


def _add_chat(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_chat)
    parser.add_argument("url", metavar="URL", help="the endpoint, such as http://127.0.0.1:8000")
    parser.add_argument(
        "--header",
        type=header,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="sent with each request, such as 'Authorization: Bearer ...'; repeatable",
    )


def _add_hosted(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="hosted_command", metavar="COMMAND", required=True)
    key = commands.add_parser("key", help="make an API key", description=_KEY)
    key.set_defaults(run=_hosted_key)
    key.add_argument("tenant", metavar="TENANT", help="whose key it is, such as acme")
    key.add_argument(
        "--api-keys",
        metavar="FILE",
        default=setting("CHATKIT_API_KEYS"),
        help="the file that gets the key's hash, for 'chatkit serve --hosted' (CHATKIT_API_KEYS)",
    )
    importing = commands.add_parser(
        "import", help="bring threads along", description=hosted_import.DESCRIPTION, formatter_class=_Raw
    )
    importing.set_defaults(run=_hosted_import)
    hosted_import.add_options(importing)
    _add_db(importing, default=setting("CHATKIT_DB", DEFAULT_DB))


def _add_stock_check(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_stock_check)
    parser.add_argument(
        "--script",
        metavar="URL",
        help="the element's script, if not the stock one: a URL, or a path of this server such as /chatkit.js",
    )
    parser.add_argument(
        "--domain-key", metavar="KEY", help="for the element; on pages of localhost it takes any"
    )
    parser.add_argument(
        "--port", type=port, default=8000, help="port to listen on, 0 for a free one; default 8000"
    )


def _add_db(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument(
        "--db",
        metavar="DATABASE",
        default=default,
        help="an SQLite file, or PostgreSQL as postgresql://user:password@host/name; default chatkit.db in the working "
        "folder (CHATKIT_DB)",
    )


# Each command's module is imported when it runs, so that none needs what only another one does.


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
    try:
        workflows = arguments.workflow or [workflow(entry) for entry in listed("CHATKIT_WORKFLOWS")]
    except argparse.ArgumentTypeError as error:
        raise CommandError(f"CHATKIT_WORKFLOWS: {error}.") from None
    if arguments.workflow and not arguments.hosted:
        raise CommandError("--workflow is for hosted ChatKit: give --hosted, too.")
    if arguments.api_keys is not None and not arguments.hosted:
        raise CommandError("--api-keys is for hosted ChatKit: give --hosted, too.")
    if arguments.single_user and arguments.hosted:
        raise CommandError("--single-user and --hosted exclude each other.")
    if arguments.single_user and arguments.context:
        raise CommandError("--single-user and --context exclude each other.")
    options: dict[str, Any] = {
        **vars(arguments),
        "asked_for": tuple(
            name for name in ("db", "files", "stream_log") if getattr(arguments, name) is not None
        ),
        "db": arguments.db or setting("CHATKIT_DB", DEFAULT_DB),
        "files": arguments.files or setting("CHATKIT_FILES"),
        "stream_log": arguments.stream_log or setting("CHATKIT_STREAM_LOG"),
        "model": None if arguments.hosted else find_model(arguments.model, arguments.api, arguments.target),
        "workflows": tuple(workflows),
        "api_keys": arguments.api_keys or setting("CHATKIT_API_KEYS"),
        "cors": tuple(arguments.cors or listed("CHATKIT_CORS")),
        "allow_host": tuple(arguments.allow_host or listed("CHATKIT_ALLOW_HOSTS")),
    }
    names = {field.name for field in fields(ServeSettings)}
    return serve(ServeSettings(**{name: value for name, value in options.items() if name in names}))


def _chat(arguments: argparse.Namespace) -> int:
    from chatkit.cli.chat import chat

    return chat(arguments.url, dict(arguments.header))


def _hosted_key(arguments: argparse.Namespace) -> int:
    from chatkit.cli.hosted import make_key

    return make_key(arguments.tenant, arguments.api_keys)


def _hosted_import(arguments: argparse.Namespace) -> int:
    names = ("source", "key_env", "tenant", "workflow", "db", "user", "create")
    return hosted_import.import_threads(**{name: getattr(arguments, name) for name in names})


def _migrate(arguments: argparse.Namespace) -> int:
    from chatkit.cli.migrate import migrate

    return migrate(arguments.db)


def _stock_check(arguments: argparse.Namespace) -> int:
    from chatkit.cli.stock_check import DOMAIN_KEY, STOCK_SCRIPT, stock_check

    return stock_check(
        script=arguments.script or STOCK_SCRIPT,
        domain_key=arguments.domain_key or DOMAIN_KEY,
        port=arguments.port,
    )
