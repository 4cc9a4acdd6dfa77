"""Metrics for Prometheus: what the turns of this process, or of all its workers, do.

Needs the extra ``metrics``. Nothing is counted before :func:`collect_metrics`, :class:`MetricsApp` or
:func:`serve_metrics` is called; ``chatkit serve --metrics PORT`` does so. Several worker processes are added up where
``PROMETHEUS_MULTIPROC_DIR`` names a folder of theirs when they start: the multiprocess mode of ``prometheus_client``.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import Context
from functools import cache
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from chatkit._observers import ObservedTurn, Observer, add_observer, observers
from chatkit.errors import AuthenticationError, ConfigurationError, MissingExtraError

try:
    import prometheus_client
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, values
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.metrics_core import Metric
    from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead  # pyright: ignore[reportUnknownVariableType]
except ImportError as error:
    raise MissingExtraError(
        "Metrics need prometheus-client: pip install 'chatkit-server[metrics]'."
    ) from error

__all__ = ["MetricsApp", "collect_metrics", "serve_metrics"]

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_LIVE: Final = re.compile(r"gauge_live\w*_(\d+)\.db")
"""The files of what counts only while its process lives."""
_LOOP_SECONDS: Final = 0.25
"""Seconds between two looks at how late an event loop is."""
_ENDS: Final = ("completed", "stopped", "failed", "interrupted")
_ANSWER: Final = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60)
_TURN: Final = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
_CALL: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class _Timed:
    """Notes how long a call took, and whether it failed."""

    __slots__ = ("_began", "_failures", "_seconds")

    def __init__(self, seconds: Histogram, failures: Counter) -> None:
        self._seconds, self._failures, self._began = seconds, failures, 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seconds.observe(time.perf_counter() - self._began)
        # What a call says of its arguments, or a caller that left, is no failure of the database.
        if kind is not None and issubclass(kind, Exception) and getattr(kind, "status", 500) >= 500:
            self._failures.inc()


class _Metrics(Observer):
    """Counts. The names, labels and meanings are listed in ``docs/metrics.md``."""

    def __init__(self) -> None:
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()
        self._known: dict[tuple[str, str], tuple[Histogram, Counter]] = {}
        self.started = Counter("chatkit_turns_started", "Turns that began to run.")
        self.ended = Counter("chatkit_turns_ended", "Turns that ended, by how.", ["end"])
        self.left = Counter("chatkit_turns_left", "Turns that a worker left to another one.")
        self.running = Gauge("chatkit_turns_running", "Turns that run now.", multiprocess_mode="livesum")
        self.seconds = Histogram(
            "chatkit_turn_duration_seconds",
            "How long turns ran in the worker that ended them.",
            buckets=_TURN,
        )
        self.first_delta = Histogram(
            "chatkit_turn_first_delta_seconds",
            "From the request to the first text, or other update of an item, of its turn.",
            buckets=_ANSWER,
        )
        self.delay = Histogram(
            "chatkit_event_loop_delay_seconds",
            "How late the event loop of a worker with running turns is, and with it what they send.",
            buckets=_CALL,
        )
        self.resumes = Counter(
            "chatkit_resumes", "Readers that came back to a turn, by where its events were.", ["source"]
        )
        self.takeovers = Counter(
            "chatkit_takeovers", "Turns of workers that died, by what became of them.", ["outcome"]
        )
        self.errors = Counter("chatkit_errors", "Errors that clients were told, by code.", ["code", "place"])
        self.limits = Counter(
            "chatkit_limits_reached", "Requests that were refused for a limit or quota.", ["limit"]
        )
        self.calls = Histogram(
            "chatkit_database_seconds",
            "How long transactions of the store, and of a log in the same database, took.",
            ["system", "kind"],
            buckets=_CALL,
        )
        self.call_failures = Counter(
            "chatkit_database_failures", "Transactions that the database failed.", ["system", "kind"]
        )
        self.saves = Histogram(
            "chatkit_log_save_seconds",
            "How long it took to save what running turns appended to a log that workers share.",
            ["log"],
            buckets=_CALL,
        )
        self.save_failures = Counter(
            "chatkit_log_save_failures", "Saves that the log's server failed.", ["log"]
        )
        self.in_use = Gauge(
            "chatkit_pool_connections", "Connections in use.", ["pool"], multiprocess_mode="livesum"
        )
        self.waiting = Gauge(
            "chatkit_pool_waiting",
            "Callers that wait for a connection.",
            ["pool"],
            multiprocess_mode="livesum",
        )
        # There from the first scrape, so that the first one that is counted shows as an increase.
        for counter, values in (
            (self.ended, _ENDS),
            (self.resumes, ("memory", "log", "none")),
            (self.takeovers, ("ended", "run_again")),
            (self.limits, ("running_turns", "messages", "requests", "uploads", "upload_bytes")),
        ):
            for value in values:
                counter.labels(value)

    def began_turn(self, turn: ObservedTurn) -> None:
        """Counts the turn."""
        self.running.inc()
        if turn.attempt == 1:
            self.started.inc()
        loop = asyncio.get_running_loop()
        self._turns[loop] = self._turns.get(loop, 0) + 1
        if self._turns[loop] == 1:
            self._look_later(loop)

    def sent_first_delta(self, turn: ObservedTurn, seconds: float) -> None:
        """Notes how long the user waited, unless for a worker that died."""
        if turn.attempt == 1:
            self.first_delta.observe(seconds)

    def ended_turn(self, turn: ObservedTurn, end: str | None, seconds: float) -> None:
        """Counts how it ended."""
        self.running.dec()
        self._turns[asyncio.get_running_loop()] -= 1
        if end is None:
            self.left.inc()
        else:
            self.ended.labels(end).inc()
            self.seconds.observe(seconds)

    def took_over(self, turn: ObservedTurn, end: str | None) -> None:
        """Counts it, and its end where that is now."""
        self.takeovers.labels("run_again" if end is None else "ended").inc()
        if end is not None:
            self.ended.labels(end).inc()

    def resumed(self, source: str, turn: ObservedTurn | None) -> None:
        """Counts it."""
        self.resumes.labels(source).inc()

    def failed(self, code: str, place: str) -> None:
        """Counts it."""
        self.errors.labels(code, place).inc()

    def reached_limit(self, limit: str) -> None:
        """Counts it."""
        self.limits.labels(limit).inc()

    def used_pool(self, pool: str, in_use: int, waiting: int) -> None:
        """Counts them."""
        if in_use:
            self.in_use.labels(pool).inc(in_use)
        if waiting:
            self.waiting.labels(pool).inc(waiting)

    def database(self, system: str, kind: str) -> _Timed:
        """Times it."""
        known = self._known.get((system, kind))
        if known is None:
            # To look both up takes longer than to count.
            known = self.calls.labels(system, kind), self.call_failures.labels(system, kind)
            self._known[system, kind] = known
        return _Timed(*known)

    def saving(self, log: str, turns: list[ObservedTurn]) -> _Timed:
        """Times it."""
        return _Timed(self.saves.labels(log), self.save_failures.labels(log))

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + _LOOP_SECONDS
        loop.call_at(due, self._look, loop, due, context=Context())

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.delay.observe(max(0.0, loop.time() - due))
        if self._turns[loop]:
            self._look_later(loop)
        else:
            del self._turns[loop]


@cache
def _metrics() -> _Metrics:
    return _Metrics()


_lock: Final = Lock()


def collect_metrics() -> None:
    """Begins to count in this process; has no effect where that was done before.

    The metrics are in ``prometheus_client.REGISTRY``, beside those of the application, or with several workers in the
    folder that ``PROMETHEUS_MULTIPROC_DIR`` names.

    Raises:
        ConfigurationError: That folder was named too late.
    """
    with _lock:
        if any(isinstance(observer, _Metrics) for observer in observers()):
            return
        if folder := os.environ.get(_FOLDER):
            if values.ValueClass is values.MutexValue:
                raise ConfigurationError(
                    f"{_FOLDER} was set after prometheus_client was imported, which looks for it then. Set it before "
                    "the process starts."
                )
            # Of a process that died and had the same id.
            _forget(os.getpid(), folder)
        add_observer(_metrics())


class MetricsApp:
    """ASGI application that answers Prometheus: ``Route("/metrics", MetricsApp(token))``. It begins to count.

    Args:
        token: What a scrape has to send as ``Authorization: Bearer ...``.

    Raises:
        ConfigurationError: The token is empty.
    """

    def __init__(self, token: str) -> None:
        if not token:
            raise ConfigurationError("MetricsApp(token) needs a token, or everybody could read the metrics.")
        self._expected = b"Bearer " + token.encode()
        collect_metrics()

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            encode, content_type = choose_encoder(headers.get(b"accept", b"").decode("latin-1"))
            # With several workers it reads files.
            status, body = 200, await asyncio.to_thread(encode, _registry())
        else:
            refused = AuthenticationError("The metrics need their token, as 'Authorization: Bearer ...'.")
            status, content_type = refused.status, "application/json"
            body = json.dumps({"error": {"code": refused.code, "message": refused.public_message}}).encode()
        named = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": named})
        await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})


def serve_metrics(port: int, host: str = "127.0.0.1") -> tuple[int, Callable[[], None]]:
    """Answers Prometheus on a port of its own, in a thread; it asks for no token.

    It does not begin to count: the process may be one that only starts workers.

    Args:
        port: The port; 0 for a free one.
        host: The address; others than loopback addresses can be reached from other machines.

    Returns:
        The port, and what ends it.

    Raises:
        OSError: The port is taken, or the address is not this machine's.
    """
    server, thread = prometheus_client.start_http_server(port, addr=host, registry=_registry())

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server.server_port, end


def _registry() -> CollectorRegistry:
    folder = os.environ.get(_FOLDER)
    if not folder:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(_Workers(folder))
    return registry


class _Workers(MultiProcessCollector):
    """The metrics of all workers: those that count what runs now only of workers that live."""

    def __init__(self, folder: str) -> None:
        cast("Any", super()).__init__(None, folder)
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Returns them."""
        for process in _processes(self._folder):
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                _forget(process, self._folder)
            except PermissionError:
                pass
        return cast("Any", super()).collect()


def _processes(folder: str) -> set[int]:
    found = (_LIVE.fullmatch(path.name) for path in Path(folder).glob("gauge_live*.db"))
    return {int(match[1]) for match in found if match is not None}


def _forget(process: int, folder: str) -> None:
    # Another process may be forgetting it too.
    with suppress(FileNotFoundError):
        mark_process_dead(process, folder)
