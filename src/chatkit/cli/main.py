"""The parser of the ``chatkit`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Final, cast

from chatkit import __version__
from chatkit.cli import (
    admin_options,
    audit_options,
    check_options,
    hosted_import,
    new_options,
    personal_data,
    serve_options,
    usage,
)
from chatkit.cli.console import printable
from chatkit.cli.options import DEFAULT_DB, add_db, header, port, setting
from chatkit.cli.requirements import with_source
from chatkit.cli.suggestions import SuggestingParser
from chatkit.errors import ChatKitError

__all__ = ["main"]


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
        print(f"chatkit {arguments.command}: {printable(with_source(str(error)))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        # What shells expect of a command that Ctrl-C ended.
        return 130
    except BrokenPipeError:
        # The reader of the output is gone, so that no one would see an error. The flush at exit would complain again.
        sys.stdout = None  # type: ignore[assignment] -- Python's own way to say that there is no output
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = SuggestingParser(
        prog="chatkit",
        description="Serve a ChatKit chat, talk to one, or look after its database.",
        epilog="Each option can also be set by the environment variable named with it; the option wins.",
    )
    parser.add_argument("--version", action="version", version=f"chatkit {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, help: str, description: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=description, formatter_class=_Raw)

    serve_options.add_options(add("serve", "serve a chat over HTTP", serve_options.DESCRIPTION))
    new_options.add_options(add("new", "make a project that runs", new_options.DESCRIPTION))
    check_options.add_options(add("check", "say what is wrong with a setup", check_options.DESCRIPTION))
    _add_chat(add("chat", "chat in the terminal", _CHAT))
    _add_hosted(add("hosted", "look after hosted ChatKit", _HOSTED))
    migrating = add("migrate", "bring a database up to date", _MIGRATE)
    migrating.set_defaults(run=_migrate)
    add_db(migrating, default=setting("CHATKIT_DB", DEFAULT_DB))
    migrating.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit with 1 if there is something to bring up to date",
    )
    usage.add_options(add("usage", "show what models have used", usage.DESCRIPTION))
    admin_options.add_options(add("admin", "look after a chat that serves", admin_options.DESCRIPTION))
    audit_options.add_options(add("audit", "read and verify the audit log", audit_options.DESCRIPTION))
    _add_copies(
        add("backup", "copy a database and its files while they are in use", _BACKUP),
        add("restore", "put a backup in place", _RESTORE),
    )
    personal_data.add_options(add)
    _add_stock_check(add("stock-check", "try the stock element with this server", _STOCK_CHECK))
    completing = add("completion", "complete this command with the tab key", _COMPLETION)
    completing.set_defaults(run=_completion)
    completing.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")
    return parser


_Raw = argparse.RawDescriptionHelpFormatter

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

_BACKUP: Final = """\
Copy an SQLite database and its folder of attached files into a new folder, while they are in use.

The copy of the database is of one moment, and is checked. The files are copied after it. The folder also holds the
secret that signs links, if it was kept beside the files: keep it as safe as the originals. A PostgreSQL database and
a bucket are backed up by their own tools.
"""

_RESTORE: Final = "Put what 'chatkit backup' copied in the place of a database and files that do not exist."

_STOCK_CHECK: Final = """\
Serve a page that tries the stock element of OpenAI's CDN with this server.

Open the page in a browser that is online: the script is loaded from the CDN, and the element talks to OpenAI for its
own ends. What it is asked to do is made up; threads and files are forgotten at the end. Some steps need you to press a
button in the chat. The result is a table, on the page and here, to paste into a report.
"""


_COMPLETION: Final = """\
Print a script with which the tab key completes commands and options.

  bash   chatkit completion bash > ~/.local/share/bash-completion/completions/chatkit
  zsh    chatkit completion zsh > _chatkit, in a folder of $fpath
  fish   chatkit completion fish > ~/.config/fish/completions/chatkit.fish
"""


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
    add_db(importing, default=setting("CHATKIT_DB", DEFAULT_DB))


def _add_copies(backing_up: argparse.ArgumentParser, restoring: argparse.ArgumentParser) -> None:
    backing_up.set_defaults(run=_backup)
    restoring.set_defaults(run=_restore)
    for parser, what in (
        (backing_up, "a new folder for the copy"),
        (restoring, "what 'chatkit backup' made"),
    ):
        parser.add_argument("folder", metavar="FOLDER", help=what)
        add_db(parser, default=setting("CHATKIT_DB", DEFAULT_DB))
        parser.add_argument(
            "--files",
            metavar="FOLDER",
            default=setting("CHATKIT_FILES"),
            help="the folder of attached files, or 'off'; default chatkit-files beside chatkit.db (CHATKIT_FILES)",
        )


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


# Each command's module is imported when it runs, so that none needs what only another one does.


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
    from chatkit.cli.migrate import check_migrated, migrate

    return check_migrated(arguments.db) if arguments.check else migrate(arguments.db)


def _backup(arguments: argparse.Namespace) -> int:
    from chatkit.cli.backup import backup

    return backup(arguments.db, arguments.files, arguments.folder)


def _restore(arguments: argparse.Namespace) -> int:
    from chatkit.cli.backup import restore

    return restore(arguments.folder, arguments.db, arguments.files)


def _stock_check(arguments: argparse.Namespace) -> int:
    from chatkit.cli.stock_check import DOMAIN_KEY, STOCK_SCRIPT, stock_check

    return stock_check(
        script=arguments.script or STOCK_SCRIPT,
        domain_key=arguments.domain_key or DOMAIN_KEY,
        port=arguments.port,
    )


def _completion(arguments: argparse.Namespace) -> int:
    from chatkit.cli.completion import make_script

    print(make_script(_parser(), arguments.shell))
    return 0
