"""``chatkit hosted import``: brings threads along from OpenAI's hosted ChatKit, or from another server like it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from chatkit.cli.console import printable
from chatkit.cli.options import CommandError
from chatkit.errors import ChatKitError, StoreUnavailableError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, OpenAIError

    from chatkit.hosted.importing import Importer, Tally

__all__ = ["DESCRIPTION", "LEFT_OUT", "add_options", "import_threads"]

LEFT_OUT: Final = 3
"""The exit code where something was left out."""

DESCRIPTION: Final = f"""\
Bring threads along from OpenAI's hosted ChatKit, or from another server like it, into the database of a workflow here.

Threads and items keep their ids, times and order. Run it as often as you like: what is here already is left alone, what
changed is replaced, and what an earlier run did not get to is brought. The exit code is 0 if all was brought, and
{LEFT_OUT} if something was left out, which is then told.

Needs the client: pip install 'openai>=2.54'
"""

_OPENAI: Final = "https://api.openai.com/v1"
_KEY_ENV: Final = "OPENAI_API_KEY"
_PAGE: Final = 100
_RETRIES: Final = 5
_REQUEST_SECONDS: Final = 60.0
_PROGRESS_SECONDS: Final = 2.0
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MISSING: Final = "This needs the client of OpenAI's API: pip install 'openai>=2.54'"
_NOT_SHOWN: Final = (
    "The API shows no generated pictures, questions to the user, tags, cited entities, hidden context, feedback or "
    "files: nothing of them is brought, and they cannot be counted."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds all options but ``--db``."""
    parser.add_argument(
        "--from",
        dest="source",
        default=_OPENAI,
        metavar="URL",
        help=f"the API of the source; default {_OPENAI}",
    )
    parser.add_argument(
        "--key-env",
        default=_KEY_ENV,
        metavar="NAME",
        help=f"the environment variable with the source's API key; default {_KEY_ENV}",
    )
    parser.add_argument("--tenant", required=True, help="whose the threads become, such as acme")
    parser.add_argument("--workflow", required=True, metavar="ID", help="the workflow whose they become")
    parser.add_argument("--user", help="only the threads of this user")
    parser.add_argument(
        "--create", action="store_true", help="make the folder of the database if it does not exist"
    )


def import_threads(
    *,
    source: str,
    key_env: str,
    tenant: str,
    workflow: str,
    db: str,
    user: str | None = None,
    create: bool = False,
) -> int:
    """Imports threads, says how far it is and what was left out, and returns the exit code.

    Args:
        source: The address of the source's API.
        key_env: The environment variable with its key.
        tenant: Whose the threads become.
        workflow: The workflow whose they become.
        db: The database of that workflow's server.
        user: Only the threads of this user; None for those of all.
        create: Whether the folder of an SQLite database may be made.

    Raises:
        CommandError: Nothing can be imported, or nothing more.
    """
    # Not with the others above: the command's parser needs this module too.
    from chatkit.cli.database import open_store
    from chatkit.hosted.importing import Importer
    from chatkit.hosted.keys import NAME

    for option, name in (("--tenant", tenant), ("--workflow", workflow)):
        if not NAME.fullmatch(name):
            raise CommandError(f"{option} is 1 to 100 letters, digits, '_', '.' and '-'.")
    client = _client(source, _key(source, key_env))
    store = open_store(db, create=create)
    importer = Importer(store, tenant, workflow, source)
    run = _Run(client, source, key_env, importer, user)

    async def work() -> None:
        try:
            await store.check()
            async with client:
                await run.go()
        finally:
            await store.close()

    try:
        asyncio.run(work())
    finally:
        run.sum_up()
    return LEFT_OUT if run.left_out else 0


def _key(source: str, name: str) -> str:
    from chatkit.hosted.keys import is_of_openai

    if is_of_openai(name) or name.startswith("ck-"):
        raise CommandError(
            "--key-env names an environment variable. It was given what looks like a key; replace that key, for "
            "commands can be seen by others."
        )
    key = os.environ.get(name, "").strip()
    if not key:
        raise CommandError(f"The environment variable {name} has no API key of the source.")
    address = urlsplit(source)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise CommandError(f"--from is an address such as {_OPENAI}.")
    if is_of_openai(key) and address.scheme == "http" and address.hostname not in _LOCAL:
        raise CommandError(f"A key of OpenAI's is not sent without encryption: --from {_OPENAI}")
    return key


def _client(source: str, key: str) -> AsyncOpenAI:
    try:
        from openai import AsyncOpenAI

        # Old ones lack it.
        import_module("openai.types.beta.chatkit")
    except ImportError:
        raise CommandError(_MISSING) from None
    # It waits as long as Retry-After says, up to two minutes.
    return AsyncOpenAI(base_url=source, api_key=key, max_retries=_RETRIES, timeout=_REQUEST_SECONDS)


@dataclass
class _Run:
    """One run of the command.

    Attributes:
        client: Asks the source.
        source: Its address.
        key_env: Where its key came from.
        importer: Keeps what it shows.
        user: Whose threads; None for those of all.
        failed: How many threads could not be brought.
        told: When it was said last how far it is.
        ended: Whether all threads were gone through.
    """

    client: AsyncOpenAI
    source: str
    key_env: str
    importer: Importer
    user: str | None
    failed: int = 0
    told: float = 0.0
    ended: bool = False

    @property
    def left_out(self) -> bool:
        """Whether something was."""
        tally = self.importer.tally
        return bool(self.failed or tally.threads["apart"] or tally.losses.total())

    async def go(self) -> None:
        """Brings all threads."""
        import openai

        threads = self.client.beta.chatkit.threads
        asked: dict[str, Any] = {} if self.user is None else {"user": self.user}
        listed = _shown(threads.list(order="asc", limit=_PAGE, **asked))
        seen: set[str] = set()
        while True:
            try:
                entry = await anext(listed, None)
            except openai.OpenAIError as error:
                raise CommandError(self._told(error)) from None
            except (AttributeError, TypeError, ValueError):
                raise CommandError(
                    f"{self.source} answers, but not as ChatKit's API does. Is it the address of an API, such as "
                    f"{_OPENAI}?"
                ) from None
            if entry is None:
                self.ended = True
                return
            name = str(entry.get("id"))
            if name in seen:
                continue
            seen.add(name)
            await self._bring(name, entry)
            self._progress()

    async def _bring(self, name: str, entry: dict[str, Any]) -> None:
        import openai

        items = self.client.beta.chatkit.threads.list_items
        try:
            outcome = await self.importer.bring(entry, _shown(items(name, order="asc", limit=_PAGE)))
        except openai.OpenAIError as error:
            if _ends_all(error):
                raise CommandError(self._told(error)) from None
            self._fail(name, self._told(error))
        except StoreUnavailableError:
            raise
        except (ChatKitError, ValueError, TypeError, AttributeError) as error:
            self._fail(name, str(error))
        else:
            if outcome == "apart":
                self._say(
                    f"{name}: it went on here and at the source; it is left as it is here. Delete it here to bring it."
                )

    def _fail(self, name: str, why: str) -> None:
        self.failed += 1
        self._say(f"{name}: not brought, or not wholly: {why}")

    def _say(self, text: str) -> None:
        # It may quote the source.
        print(printable(text), file=sys.stderr, flush=True)

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self.told >= _PROGRESS_SECONDS:
            self.told = now
            self._say(
                f"{_threads_of(self.importer.tally, self.failed)}; {_items_of(self.importer.tally)} ..."
            )

    def sum_up(self) -> None:
        """Says what was done, and what was left out; nothing where nothing could be tried."""
        tally = self.importer.tally
        if not (self.ended or self.failed or tally.threads):
            return
        print(f"Threads: {_threads_of(tally, self.failed)}.")
        print(f"Items: {_items_of(tally)}.")
        for kind, count in sorted((+tally.losses).items()):
            print(f"Left out: {count} {kind}.")
        print(_NOT_SHOWN)

    def _told(self, error: OpenAIError) -> str:
        import openai

        again = "Run this again later; it goes on where it was."
        match error:
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                return f"The source refuses the key of {self.key_env} ({_answer(error)})."
            case openai.RateLimitError():
                wait = error.response.headers.get("retry-after")
                how_long = f" for {wait} s" if wait else ""
                return f"The source takes no more requests{how_long} ({_answer(error)}). {again}"
            case openai.NotFoundError():
                return f"The source has no such thing ({_answer(error)})."
            case openai.APIStatusError():
                return f"The source fails ({_answer(error)}). {again}"
            case _:
                return f"{self.source} cannot be reached: {error.__cause__ or error}. {again}"


def _ends_all(error: OpenAIError) -> bool:
    """Returns whether other threads would fail in the same way."""
    import openai

    kinds = (
        openai.AuthenticationError,
        openai.PermissionDeniedError,
        openai.RateLimitError,
        openai.APIConnectionError,
    )
    return isinstance(error, kinds)


def _answer(error: APIStatusError) -> str:
    said = cast("dict[str, Any]", error.body).get("message") if isinstance(error.body, dict) else None
    return f"{error.status_code}: {str(said)[:300]}" if said else str(error.status_code)


async def _shown(pages: AsyncIterable[Any]) -> AsyncIterator[dict[str, Any]]:
    async for entry in pages:
        yield entry.to_dict(mode="json", warnings=False)


def _threads_of(tally: Tally, failed: int) -> str:
    threads = tally.threads
    parts = [f"{threads['new']} new", f"{threads['changed']} changed", f"{threads['same']} the same"]
    if threads["apart"]:
        parts.append(f"{threads['apart']} left as they are here")
    if failed:
        parts.append(f"{failed} not brought")
    return ", ".join(parts)


def _items_of(tally: Tally) -> str:
    return ", ".join(f"{tally.items[kind]} {kind}" for kind in ("added", "replaced", "removed", "same"))
