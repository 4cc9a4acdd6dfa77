"""The command line: what can be typed, and which function does it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Final, cast

from chatkit import __version__
from chatkit.cli.model import APIS, find_model
from chatkit.cli.options import (
    DEFAULT_DB,
    CommandError,
    header,
    lease,
    listed,
    port,
    seconds,
    setting,
    workers,
)
from chatkit.errors import ChatKitError

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
        print(f"chatkit {arguments.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        # What shells expect of a command that Ctrl-C ended.
        return 130
    except BrokenPipeError:
        # Whoever read the output has left; there is nobody to tell. The flush at exit would complain again.
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
    _add_migrate(commands.add_parser("migrate", help="bring a database up to date", description=_MIGRATE))
    return parser


_Raw = argparse.RawDescriptionHelpFormatter

_SERVE: Final = """\
Serve a chat over HTTP, at /chatkit.

TARGET is module:attribute, looked for in the working folder first:
  a ChatKitServer        served as it is
  a subclass of it       constructed with the store of --db
  a function             called with that store, or without arguments; returns a ChatKitServer
  an ASGI application    served as it is; --cors and --context do not apply
--db is for targets that get a store (a SQLiteStore, or a PostgresStore), and so are --files and --stream-log, where
they have no file store or stream log of their own. Links to files are signed with CHATKIT_SECRET; without it a secret
is made and kept in the folder of the files.

Without a target the built-in assistant answers. Set OPENAI_API_KEY for a model of OpenAI, or OPENAI_BASE_URL for one
behind any endpoint of that kind (Ollama, vLLM and others). With neither it is a guide that has no model.

Single-user mode is the default: there is no sign-in, everybody who reaches the port is the same user. For more
than one user give --context module:function; it gets each request and returns its context, with a user_id.
"""

_CHAT: Final = """\
Chat in the terminal with any ChatKit endpoint.

URL is the endpoint; without a path, /chatkit is meant. Ctrl-C stops an answer; Ctrl-C twice or Ctrl-D leaves.
Lines piped in are sent as messages. Type /help in the chat for its commands.
"""

_MIGRATE: Final = "Bring an SQLite or PostgreSQL database to the newest schema. Serving does so too."


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
    parser.add_argument(
        "--files",
        metavar="FOLDER",
        help="attached files: a folder, 's3://bucket/prefix?region=...&endpoint=...' with the credentials of "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or 'off' to take none; default chatkit-files beside chatkit.db "
        "(CHATKIT_FILES)",
    )
    parser.add_argument(
        "--stream-log",
        metavar="URL",
        help="where workers share running turns: redis://host:6379/0, rediss:// or postgresql://...; default the "
        "database of the threads, which can be shared if it is PostgreSQL (CHATKIT_STREAM_LOG)",
    )
    parser.add_argument(
        "--lease",
        type=lease,
        metavar="SECONDS",
        default=setting("CHATKIT_LEASE"),
        help="how long turns are a worker's that shows no sign of life; default 10 (CHATKIT_LEASE)",
    )
    parser.add_argument(
        "--drain-seconds",
        type=seconds,
        metavar="SECONDS",
        default=setting("CHATKIT_DRAIN_SECONDS", "0"),
        help="how long running turns may go on when the process is asked to end; default 0 (CHATKIT_DRAIN_SECONDS)",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="the assistant's model; default gpt-5-mini at OpenAI, the first that is listed elsewhere (CHATKIT_MODEL)",
    )
    parser.add_argument(
        "--api",
        choices=APIS,
        help="what the model's endpoint speaks; default responses at OpenAI, chat elsewhere (CHATKIT_API)",
    )
    parser.add_argument(
        "--host",
        default=setting("CHATKIT_HOST", "127.0.0.1"),
        help="address to listen on; default 127.0.0.1 (CHATKIT_HOST)",
    )
    parser.add_argument(
        "--port",
        type=port,
        default=setting("CHATKIT_PORT", "8000"),
        help="port to listen on, 0 for a free one; default 8000 (CHATKIT_PORT)",
    )
    parser.add_argument(
        "--cors",
        action="append",
        metavar="ORIGIN",
        help="an origin whose pages may use the chat, such as http://localhost:5173; repeatable "
        "(CHATKIT_CORS, separated by commas)",
    )
    parser.add_argument(
        "--context",
        metavar="MODULE:FUNCTION",
        default=setting("CHATKIT_CONTEXT"),
        help="makes the context of a request; default single-user (CHATKIT_CONTEXT)",
    )
    parser.add_argument(
        "--single-user",
        action="store_true",
        help="the default, to say it explicitly: no sign-in, everybody is the same user",
    )
    parser.add_argument(
        "--workers",
        type=workers,
        default=setting("CHATKIT_WORKERS", "1"),
        help="processes; more than one needs a stream log that they share; default 1 (CHATKIT_WORKERS)",
    )
    parser.add_argument(
        "--log-level",
        choices=_LOG_LEVELS,
        default=setting("CHATKIT_LOG_LEVEL", "warning"),
        help="how much to log; default warning (CHATKIT_LOG_LEVEL)",
    )


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


def _add_migrate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_migrate)
    _add_db(parser, default=setting("CHATKIT_DB", DEFAULT_DB))


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
    from chatkit._installation import find_problem
    from chatkit.cli.serve import ServeSettings, serve

    problem = find_problem()
    if problem is not None:
        print(f"WARNING: {problem.message}", file=sys.stderr)
    if arguments.log_level not in _LOG_LEVELS:
        raise CommandError(
            f"CHATKIT_LOG_LEVEL is one of {', '.join(_LOG_LEVELS)}, not {arguments.log_level!r}."
        )
    if arguments.single_user and arguments.context:
        raise CommandError("--single-user and --context exclude each other.")
    return serve(
        ServeSettings(
            target=arguments.target,
            db=arguments.db or setting("CHATKIT_DB", DEFAULT_DB) or DEFAULT_DB,
            db_is_asked_for=arguments.db is not None,
            files=arguments.files or setting("CHATKIT_FILES"),
            files_are_asked_for=arguments.files is not None,
            stream_log=arguments.stream_log or setting("CHATKIT_STREAM_LOG"),
            stream_log_is_asked_for=arguments.stream_log is not None,
            lease=arguments.lease,
            drain_seconds=arguments.drain_seconds,
            model=find_model(arguments.model, arguments.api, arguments.target),
            host=arguments.host,
            port=arguments.port,
            cors=tuple(arguments.cors or listed("CHATKIT_CORS")),
            context=arguments.context,
            workers=arguments.workers,
            log_level=arguments.log_level,
        )
    )


def _chat(arguments: argparse.Namespace) -> int:
    from chatkit.cli.chat import chat

    return chat(arguments.url, dict(arguments.header))


def _migrate(arguments: argparse.Namespace) -> int:
    from chatkit.cli.migrate import migrate

    return migrate(arguments.db)
