"""What holds for every test: the order of the parts, and how long a drawn example may take."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.servers import servers_of_all

ROOT = Path(__file__).resolve().parent.parent
ACCEPTANCE = ROOT / "tests" / "acceptance"

# How long an example takes says nothing on a machine that does other things too; pytest-timeout bounds the
# whole test.
settings.register_profile("chatkit", deadline=None, print_blob=True)
settings.load_profile("chatkit")


def pytest_configure(config: pytest.Config) -> None:
    """Starts the servers here when other processes run the tests (``-n``): these would start a set each."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what runs in the background so, and programs that the tests interrupt would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        running = ExitStack()
        running.enter_context(servers_of_all())
        config.add_cleanup(running.close)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the acceptance tests last: what a small test can tell is best told first."""
    items.sort(key=lambda item: item.path.is_relative_to(ACCEPTANCE))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Returns the connection string of a PostgreSQL server's superuser; one server for all tests of a run.

    The environment variable ``CHATKIT_TEST_POSTGRES`` names another one, on which databases are made and dropped.
    """
    given = os.environ.get("CHATKIT_TEST_POSTGRES")
    if given:
        yield given
        return
    from tests.support.postgres import postgres_server

    with postgres_server() as server:
        yield server.url


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """Returns the connection string of an empty PostgreSQL database of the test's own."""
    from tests.support.postgres import new_database

    with new_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Returns the URL of a Redis server; one server for all tests of a run, which have prefixes of their own.

    The environment variable ``CHATKIT_TEST_REDIS`` names another one.
    """
    given = os.environ.get("CHATKIT_TEST_REDIS")
    if given:
        yield given
        return
    from tests.support.redis import redis_server

    with redis_server() as server:
        yield server.url
