"""What holds for every test: servers, the order of the files, limits of time, and how failures are told."""

from __future__ import annotations

import gc
import os
import pty
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from itertools import chain, filterfalse, groupby, zip_longest
from pathlib import Path
from typing import Any

import coverage
import pytest
from hypothesis import settings

from chatkit import _outages
from tests.support.certificates import read_once
from tests.support.scale import FAST, examples, scaled, share
from tests.support.servers import servers_of_all

ROOT = Path(__file__).resolve().parent.parent
ACCEPTANCE = ROOT / "tests" / "acceptance"
OLDEST = ROOT / "tests" / "project" / "test_oldest.py"
UNMEASURED = tuple(
    ROOT / "tests" / name
    for name in (
        # They draw or list many inputs.
        "client/test_hostile_servers.py",
        "server/test_kill_points.py",
        "stateful",
        "web/test_bad_input.py",
        "web/test_fuzz.py",
        # They look at the whole from outside, with servers, browsers and installed packages.
        "acceptance",
        "adapters",
        "browser",
        "dropin",
        "examples",
        "project",
        "server/test_processes.py",
    )
)
"""What coverage is not measured of, which makes Python half as fast."""
MEASURED_PROCESSES = tuple(
    ROOT / "tests" / name
    for name in ("browser/test_stock_check.py", "cli", "hosted/test_command.py", "web/test_termination.py")
)
"""Tests whose processes are measured, too: only these reach the code that they are about."""

NOT_FAST = {
    ROOT / "tests" / name
    for name in (
        # Nearly all of them start processes or servers.
        "acceptance",
        "adapters",
        "agents/test_http.py",
        "audit/test_processes.py",
        "audit/test_rights.py",
        "browser",
        "cli/test_chat.py",
        "cli/test_options.py",
        "cli/test_personal_data.py",
        "cli/test_postgres.py",
        "cli/test_serve.py",
        "cli/test_serve_connections.py",
        "cli/test_serve_many.py",
        "cli/test_serve_metrics.py",
        "cli/test_serve_traces.py",
        "client/test_conversation.py",
        "client/test_uploads.py",
        "demo/test_guide.py",
        "dropin",
        "examples",
        "files/test_contract.py",
        "files/test_end_to_end.py",
        "files/test_previews.py",
        "personal_data",
        "project/test_bill.py",
        "project/test_main_names.py",
        "server/test_journal_kills.py",
        "server/test_kill_points_found.py",
        "server/test_many_workers.py",
        "server/test_partitions.py",
        "server/test_processes.py",
        "store/test_postgres.py",
        "store/test_postgres_failures.py",
        "store/test_postgres_lifetime.py",
        "store/test_postgres_migrations.py",
        "store/test_postgres_order.py",
        "store/test_postgres_queries.py",
        "streams/test_network.py",
        "streams/test_postgres.py",
        "streams/test_redis.py",
        "streams/test_rolling.py",
        "streams/test_shared_failures.py",
        "web/test_bad_input.py",
        "web/test_face.py",
        "web/test_fastapi.py",
        "web/test_termination.py",
        "web/test_uploads.py",
        # They wait for leases, locks and limits of time, or compute or import for seconds.
        "agents/test_stops.py",
        "cli/test_check.py",
        "cli/test_target.py",
        "client/test_hostile_servers.py",
        "dialects/reference/test_owners.py",
        "files/test_preview_queue.py",
        "files/test_s3.py",
        "files/test_scanning.py",
        "files/test_thumbnails.py",
        "frameworks",
        "hosted",
        "project/test_waits.py",
        "reference/test_owners.py",
        "server/test_blocking.py",
        "server/test_left_unopened.py",
        "server/test_passed.py",
        "server/test_races.py",
        "server/test_store_sweep.py",
        "stateful",
        "store/test_sqlite_failures.py",
        "streams/test_forgotten.py",
        "streams/test_sqlite.py",
        "streams/test_survey.py",
    )
}
"""What a fast run leaves out."""

# How long an example takes says nothing on a machine that does other things too; pytest-timeout bounds the
# whole test.
settings.register_profile("chatkit", max_examples=examples(40), deadline=None, print_blob=True)
settings.load_profile("chatkit")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Starts the servers here when other processes run the tests (``-n``): these would start a set each."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what runs in the background so, and programs that the tests interrupt would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # A process that shares the tests with others reads the options anew.
    config.option.timeout = scaled(float(config.option.timeout or config.getini("timeout")))
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(FailuresAtOnce(config))
    if config.getoption("numprocesses", None) and not FAST:
        running = ExitStack()
        running.enter_context(servers_of_all())
        config.add_cleanup(running.close)


class FailuresAtOnce:
    """Names a failure when it happens: what is told of it otherwise comes at the end of the run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome not in {"failed", "rerun"}:
            return
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        crash = getattr(report.longrepr, "reprcrash", None)
        why = (crash.message if crash is not None else report.longreprtext).strip().partition("\n")[0][:200]
        reporter.ensure_newline()
        reporter.write_line(f"{report.outcome.upper()} {report.nodeid} ({report.when}): {why}", red=True)
        reporter.flush()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Looks for no garbage while thousands of tests are made, which are all kept."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leaves out of a fast run what takes long or is skipped there."""
    return True if FAST and collection_path in NOT_FAST else None


def _is_slow(path: Path) -> bool:
    return not NOT_FAST.isdisjoint((path, *path.parents))


@pytest.fixture(scope="session", autouse=True)
def no_process_in_a_fast_run() -> Iterator[None]:
    """Skips a test of a fast run when it starts a process: a server, a command line, another interpreter.

    What the package itself starts in a thread is started: nothing would reach the test from there.
    """
    with pytest.MonkeyPatch.context() as patch:
        if FAST:
            for owner, name in ((subprocess.Popen, "__init__"), (os, "fork"), (pty, "fork")):
                patch.setattr(owner, name, _skipping(getattr(owner, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def certificates() -> Iterator[None]:
    """Lets clients share what they trust."""
    with read_once():
        yield


def _skipping(start: Callable[..., Any]) -> Callable[..., Any]:
    def skip_or_start(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            pytest.skip("starts a process, which a fast run does not")
        return start(*arguments, **options)

    return skip_or_start


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the acceptance tests last: what a small test can tell is best told first.

    Where processes share the files, those that a fast run leaves out, which take long and mostly wait, take turns with
    the others, each kind from those of few tests on: at the end no process has to wait for a long one. With the oldest
    packages a share of each file is run: what does not work with them fails in many tests.
    """
    if os.environ.get("CHATKIT_TEST_OLDEST"):
        by_path = {path: list(tests) for path, tests in groupby(items, key=lambda item: item.path)}
        items[:] = [
            item for path, tests in by_path.items() for item in share(tests, max(60, len(tests)), path.name)
        ]
    if hasattr(config, "workerinput"):
        tests = Counter(item.path for item in items)
        paths = sorted(tests, key=lambda path: tests[path])
        slow, others = filter(_is_slow, paths), filterfalse(_is_slow, paths)
        places = {path: place for place, path in enumerate(chain(*zip_longest(slow, others)))}
        items.sort(key=lambda item: places[item.path])
    else:
        items.sort(key=lambda item: item.path.is_relative_to(ACCEPTANCE))
    for item in items:
        limit = item.get_closest_marker("timeout")
        if limit is not None:
            item.add_marker(pytest.mark.timeout(scaled(limit.args[0])), append=False)


@pytest.fixture(autouse=True)
def outages_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets what fails in a test be logged although it failed in another one a moment ago."""
    monkeypatch.setattr(_outages, "_elsewhere", {})


@pytest.fixture(scope="module", autouse=True)
def small_collections() -> None:
    """Leaves what is alive between modules out of garbage collections: thousands of collected tests among it.

    A test that collects garbage itself would take half a second for it.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def measured(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leaves some tests, and most processes that tests start, out of the measurement of coverage.

    Each line that these reach is to be reached by a test that says what it does.
    """
    measuring = coverage.Coverage.current()
    left_out = measuring if any(map(request.path.is_relative_to, UNMEASURED)) else None
    if left_out is not None:
        left_out.stop()
    with pytest.MonkeyPatch.context() as patch:
        if not any(map(request.path.is_relative_to, MEASURED_PROCESSES)):
            patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        yield
    if left_out is not None:
        left_out.start()


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
