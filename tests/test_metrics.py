"""Metrics: what is counted of turns, errors, limits, databases and logs, and who may read it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import REGISTRY
from starlette.routing import Route
from starlette.testclient import TestClient

from chatkit._observers import observers, remove_observer
from chatkit.errors import (
    ConfigurationError,
    CustomStreamError,
    QuotaExceededError,
    StoreUnavailableError,
    TooManyTurnsError,
    TurnNotFoundError,
)
from chatkit.limits import Limits
from chatkit.metrics import MetricsApp, _metrics, collect_metrics, serve_metrics
from chatkit.quotas import Quota
from chatkit.store import MemoryStore, PostgresStore, SQLiteStore
from chatkit.streams import RedisStreamLog
from chatkit.web import create_app
from tests.server.support import ADA, ScriptedServer, added, delta, done, hello, user_input
from tests.server.test_recovery import crashed
from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[1]
Grown = Callable[..., float]


@pytest.fixture
def grown() -> Iterator[Grown]:
    """Counts during the test; returns by how much a sample has grown."""
    collect_metrics()
    before = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
    }

    def value(name: str, **labels: str) -> float:
        now = REGISTRY.get_sample_value(name, labels)
        return (now or 0.0) - before.get((name, *sorted(labels.items())), 0.0)

    try:
        yield value
    finally:
        remove_observer(_metrics())


async def create(server: ScriptedServer, text: str = "Hi", **more: Any) -> Any:
    return await server.ask("threads.create", input=user_input(text), **more)


def test_nothing_is_counted_unless_it_is_asked_for() -> None:
    assert observers() == ()


def test_to_ask_twice_counts_once(grown: Grown) -> None:
    collect_metrics()
    assert len(observers()) == 1


async def test_turns_are_counted_by_how_they_end(grown: Grown) -> None:
    begun = asyncio.Event()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        said = message.content[0].text
        if said == "fail":
            raise CustomStreamError("No.")
        yield "Hello"
        if said == "wait":
            begun.set()
            await asyncio.Event().wait()

    server = ScriptedServer(script)
    await create(server)
    await create(server, "fail")
    async with asyncio.timeout(scaled(10)):
        result = await server.send("threads.create", input=user_input("wait"))
        await begun.wait()
        assert grown("chatkit_turns_running") == 1
        await server.ask("turns.stop", thread_id=result.thread_id)
        await result.aclose()
    assert grown("chatkit_turns_started_total") == 3
    ends = {end: grown("chatkit_turns_ended_total", end=end) for end in ("completed", "failed", "stopped")}
    assert ends == {"completed": 1, "failed": 1, "stopped": 1}
    assert grown("chatkit_turns_running") == 0
    assert grown("chatkit_turn_duration_seconds_count") == 3
    assert grown("chatkit_turn_first_delta_seconds_count") == 2
    assert grown("chatkit_errors_total", code="custom", place="stream") == 1


async def test_an_update_is_the_first_delta_as_a_string_is_and_each_turn_has_one(grown: Grown) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        yield added()
        for word in ("a", "b", "c"):
            yield delta(word)
        yield "And more."

    events = await create(ScriptedServer(script))
    assert "And more." in json.dumps(events)
    assert grown("chatkit_turn_first_delta_seconds_count") == 1


async def test_a_loop_that_is_late_is_seen(grown: Grown) -> None:
    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        while not grown("chatkit_event_loop_delay_seconds_count"):
            # Blocks the loop on purpose, for longer than a look at it is away.
            time.sleep(0.3)
            await asyncio.sleep(0)
        yield done("Late.")

    await create(ScriptedServer(script))
    assert grown("chatkit_event_loop_delay_seconds_sum") > 0.02


async def test_resumes_are_counted_by_where_the_events_are(grown: Grown) -> None:
    server = ScriptedServer(hello)
    result = await server.send("threads.create", metadata={"resumable": True}, input=user_input("Hi"))
    frames = [frame async for frame in result]
    assert frames
    again = await server.send("turns.resume", thread_id=result.thread_id)
    assert b"Hello!" in b"".join([frame async for frame in again])
    with pytest.raises(TurnNotFoundError):
        await server.send("turns.resume", thread_id=result.thread_id, after="turn_none:1")
    assert grown("chatkit_resumes_total", source="memory") == 1
    assert grown("chatkit_resumes_total", source="none") == 1


async def test_a_turn_of_a_dead_worker_has_an_end_too(grown: Grown) -> None:
    server, _, _ = await crashed(MemoryStore())
    assert await server.recover() == 1
    assert grown("chatkit_takeovers_total", outcome="ended") == 1
    assert grown("chatkit_turns_ended_total", end="interrupted") == 1


async def test_limits_are_counted_by_their_names(grown: Grown) -> None:
    limits = Limits(running_turns_per_owner=1, quotas=(Quota("messages", 2),))

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield "never"

    server = ScriptedServer(script, limits=limits)
    result = await server.send("threads.create", input=user_input("Hi"))
    with pytest.raises(TooManyTurnsError):
        await create(server)
    await result.aclose()
    server.script = hello
    await create(server)
    with pytest.raises(QuotaExceededError):
        await create(server)
    assert grown("chatkit_limits_reached_total", limit="running_turns") == 1
    assert grown("chatkit_limits_reached_total", limit="messages") == 1


@pytest.mark.parametrize("what", ["running_turns", "tokens"])
async def test_quotas_of_turns_and_of_models_are_counted_too(what: Any, grown: Grown) -> None:
    server = ScriptedServer(hello, limits=Limits(quotas=(Quota(what, 0),)))
    with pytest.raises((TooManyTurnsError, QuotaExceededError)):
        await create(server)
    assert grown("chatkit_limits_reached_total", limit=what) == 1


async def test_transactions_are_timed_and_their_failures_counted(grown: Grown, tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chat.db")
    try:
        await create(ScriptedServer(store=store))
    finally:
        await store.close()
    assert grown("chatkit_database_seconds_count", system="sqlite", kind="write") > 0
    assert grown("chatkit_database_seconds_count", system="sqlite", kind="read") > 0
    assert grown("chatkit_log_save_seconds_count", log="sqlite") > 0
    broken = SQLiteStore(tmp_path)
    with pytest.raises(StoreUnavailableError):
        await broken.check()
    await broken.close()
    failures = sum(
        grown("chatkit_database_failures_total", system="sqlite", kind=kind) for kind in ("read", "write")
    )
    assert failures == 1


async def test_the_use_of_pools_is_counted_and_given_back(
    grown: Grown, postgres_database: str, redis_url: str
) -> None:
    store, log = PostgresStore(postgres_database), RedisStreamLog(redis_url)
    seen = set[float]()

    async def script(thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        async def look(transaction: Any) -> None:
            seen.add(grown("chatkit_pool_connections", pool="postgresql"))

        await store.database.read(look)
        yield done("Hello!")

    server = ScriptedServer(script, store=store, stream_log=log)
    try:
        await create(server)
    finally:
        await server.close()
    assert seen == {1}
    for pool in ("postgresql", "redis"):
        assert REGISTRY.get_sample_value("chatkit_pool_waiting", {"pool": pool}) == 0
        assert grown("chatkit_pool_connections", pool=pool) == 0
    assert grown("chatkit_log_save_seconds_count", log="redis") > 0


# Who may read it.


def scraped(**headers: bytes) -> Any:
    app = create_app(
        ScriptedServer(hello), context=lambda request: ADA, routes=[Route("/metrics", MetricsApp("secret"))]
    )
    with TestClient(app) as client:
        return client.get("/metrics", headers=headers)


def test_an_application_answers_who_has_the_token(grown: Grown) -> None:
    answer = scraped(authorization=b"Bearer secret", accept=b"application/openmetrics-text")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "chatkit_turns_running" in answer.text
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("given", [None, b"", b"Bearer", b"Bearer wrong", b"secret", b"Bearer \xe9"])
def test_an_application_answers_nobody_else(grown: Grown, given: bytes | None) -> None:
    answer = scraped() if given is None else scraped(authorization=given)
    assert answer.status_code == 401
    assert set(answer.json()["error"]) == {"code", "message"}


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="token"):
        MetricsApp("")


def test_a_folder_that_is_named_too_late_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    with pytest.raises(ConfigurationError, match="before"):
        collect_metrics()
    assert observers() == ()


def test_a_port_of_its_own_answers_until_it_is_closed(grown: Grown) -> None:
    port, end = serve_metrics(0)
    try:
        assert "chatkit_turns_running" in httpx2.get(f"http://127.0.0.1:{port}/metrics").text
    finally:
        end()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"http://127.0.0.1:{port}/metrics")


# What is written down.


def names() -> dict[str, tuple[str, ...]]:
    """Returns the metrics by the name that Prometheus knows them by, with their labels."""
    found = dict[str, tuple[str, ...]]()
    for metric in vars(_metrics()).values():
        if hasattr(metric, "_labelnames"):
            (described,) = metric.describe()
            found[described.name + ("_total" if described.type == "counter" else "")] = metric._labelnames
    return found


def test_the_table_of_the_documentation_lists_every_metric_with_its_labels() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(chatkit_\w+)` \|[^|]*\|([^|]*)\|", text, re.MULTILINE)
    assert {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == names()


def test_every_metric_of_the_dashboard_exists() -> None:
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    known = {
        f"{name}{ending}"
        for name in names()
        for ending in (("_bucket", "_sum", "_count") if name.endswith("_seconds") else ("",))
    }
    used = {name for query in asked for name in re.findall(r"chatkit_\w+", query)}
    assert used <= known
    # Each metric is shown somewhere.
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in used} == set(names())
    labels = {label for group in names().values() for label in group} | {"le", "job", "instance"}
    for query in asked:
        assert set(re.findall(r"(\w+)(?==~?\")", query)) <= labels, query
        for by in re.findall(r"by \(([^)]*)\)", query):
            assert set(by.split(", ")) <= labels, query
