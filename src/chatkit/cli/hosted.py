"""``chatkit hosted key``, and ``chatkit serve --hosted``: hosted ChatKit in the place of OpenAI's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chatkit._checks import shown
from chatkit.cli.database import open_store
from chatkit.cli.files import keep_secret, open_files
from chatkit.cli.options import CommandError
from chatkit.cli.streams import open_log
from chatkit.cli.target import Target, load, resolve
from chatkit.hosted import hash_key, new_key
from chatkit.hosted.keys import NAME, is_of_openai
from chatkit.server import ChatKitServer
from chatkit.store import Store

if TYPE_CHECKING:
    from chatkit.cli.serve import ServeSettings

__all__ = ["describe_hosted", "hosted_target", "make_key", "read_keys"]

_HASH: Final = "sha256:"


def make_key(tenant: str, keys: str | None) -> int:
    """Makes an API key of a tenant, prints it, keeps its hash in a file if one is named, and returns the exit code.

    Args:
        tenant: The tenant's name.
        keys: The file; None prints the line for it.
    """
    if not NAME.fullmatch(tenant) or is_of_openai(tenant):
        raise CommandError("A tenant's name is 1 to 100 letters, digits, '_', '.' and '-', such as acme.")
    if keys is not None:
        _refuse_key(keys)
    key = new_key()
    line = f"{hash_key(key)} {tenant}"
    if keys is None:
        print(key)
        print(f"This key is shown once. Keep its hash in the file of --api-keys: {line}", file=sys.stderr)
        return 0
    try:
        # For its owner alone: it says who the tenants are.
        descriptor = os.open(keys, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab+") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            # The last line of a file that was edited may have no end.
            start = "" if file.read() in {b"", b"\n"} else "\n"
            file.write(f"{start}{line}\n".encode())
    except OSError as error:
        raise CommandError(f"{keys} cannot be written: {error.strerror or error}.") from error
    print(key)
    print(
        f"This key is shown once; {keys} keeps its hash. Servers read that file when they start.",
        file=sys.stderr,
    )
    return 0


def _refuse_key(keys: str) -> None:
    if is_of_openai(keys):
        raise CommandError(
            "--api-keys names a file. It was given what looks like a key of OpenAI's; replace that key, for commands "
            "can be seen by others."
        )


def read_keys(keys: str | None) -> dict[str, str]:
    """Returns the tenants by the hashes of their keys, as the file of ``--api-keys`` has them."""
    if keys is None:
        raise CommandError(
            "--hosted needs --api-keys FILE, the hashes of the keys of your servers. Make one with 'chatkit hosted key "
            "TENANT --api-keys FILE'."
        )
    _refuse_key(keys)
    try:
        lines = Path(keys).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{keys} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        if len(parts) != 2 or not parts[0].startswith(_HASH):
            # It may be a key.
            raise CommandError(
                f"Line {number} of {keys} is not '{_HASH}... TENANT'. Keys themselves do not belong there: make lines "
                "with 'chatkit hosted key TENANT --api-keys FILE'."
            )
        found[parts[0]] = parts[1]
    if not found:
        raise CommandError(f"{keys} has no key. Make one with 'chatkit hosted key TENANT --api-keys {keys}'.")
    return found


def hosted_target(settings: ServeSettings) -> Target:
    """Returns the servers of the workflows, with one store, file store and stream log for those that have none."""
    _check_options(settings)
    store: Store[Any] | None = None

    def make_store() -> Store[Any]:
        nonlocal store
        store = store or open_store(settings.db, create=settings.create)
        return store

    keep_secret(settings.files, settings.db, create=settings.create)
    targets: dict[str, Target] = {}
    for _, name in settings.workflows:
        if name not in targets:
            targets[name] = resolve(load(name, "--workflow"), name, make_store)
    workflows = {workflow: _server(targets[name], name) for workflow, name in settings.workflows}
    made = [target.server for target in targets.values() if target.got_store and target.server is not None]
    _check_effect(settings, made)
    if any(server.attachment_store is None for server in made):
        files: Any = open_files(settings.files, settings.db, create=settings.create)
        for server in made:
            server.attachment_store = server.attachment_store or files
    if store is not None and any(server.stream_log is None for server in made):
        log = open_log(settings.stream_log, store, settings.lease)
        for server in made:
            server.stream_log = server.stream_log or log
    return Target(hosted=workflows, got_store=bool(made))


def _check_options(settings: ServeSettings) -> None:
    if settings.target is not None:
        raise CommandError(
            f"With --hosted each target has the id of its workflow: --workflow wf_...={settings.target}"
        )
    if not settings.workflows:
        raise CommandError(
            "--hosted needs --workflow ID=TARGET, such as --workflow wf_support=app:SupportServer."
        )
    for option, value in (("--context", settings.context), ("--allow-host", settings.allow_host)):
        if value:
            raise CommandError(
                f"{option} has no effect with --hosted, where sessions say who a user is. Leave it out."
            )
    if settings.title:
        raise CommandError("--title has no effect with --hosted, which serves no page. Leave it out.")


def _check_effect(settings: ServeSettings, made: list[ChatKitServer[Any]]) -> None:
    for option, has_effect in (
        ("db", bool(made)),
        ("files", any(server.attachment_store is None for server in made)),
        ("stream_log", any(server.stream_log is None for server in made)),
    ):
        if option in settings.asked_for and not has_effect:
            raise CommandError(
                f"--{option.replace('_', '-')} has no effect: the servers of all workflows bring their own. Leave it "
                "out, or name a subclass of ChatKitServer, or a function that takes a store."
            )


def _server(target: Target, name: str) -> ChatKitServer[Any]:
    if target.server is None:
        raise CommandError(f"{name} is a whole application; a workflow is a ChatKitServer.")
    return target.server


def describe_hosted(workflows: Mapping[str, ChatKitServer[Any]], address: str) -> list[str]:
    """Returns the lines that say what is served, and how servers and pages reach it."""
    return [
        f"Workflows: {', '.join(f'{workflow} ({type(server).__name__})' for workflow, server in workflows.items())}.",
        f"Servers open sessions with OpenAI(base_url={shown(f'{address}/v1')}, api_key='ck-...').",
    ]
