"""``chatkit serve --metrics`` and ``--traces``: a port of its own for Prometheus, and spans for OpenTelemetry."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Final

from chatkit.cli.database import describe
from chatkit.cli.hosts import is_loopback
from chatkit.cli.options import CommandError

if TYPE_CHECKING:
    from chatkit.cli.serve import ServeSettings

__all__ = ["begin_in_worker", "describe_telemetry", "serving_metrics"]

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_MEMORY: Final = "/dev/shm"  # noqa: S108 -- a folder of its own is made in it


@contextmanager
def serving_metrics(settings: ServeSettings) -> Generator[ServeSettings]:
    """Answers Prometheus while the block runs, if that was asked for; yields the settings with the port that it has.

    Workers write what they count into a folder, from where this process reads it: a worker that dies takes nothing
    with it.

    Raises:
        CommandError: The address cannot be listened on.
        MissingExtraError: What is needed for it is not installed.
    """
    counts_here = settings.workers == 1 and not settings.dev
    if settings.traces:
        # Here too, where workers would fail without it.
        import_module("chatkit.tracing")
    if counts_here:
        _begin_tracing(settings)
    if settings.metrics is None:
        yield settings
        return
    host, _, port = settings.metrics.rpartition(":")
    with ExitStack() as stack:
        if not counts_here and not os.environ.get(_FOLDER):
            # Before prometheus_client is imported, here and in the workers: it looks for this then.
            folder = tempfile.TemporaryDirectory(prefix="chatkit-metrics-", dir=_memory_disk())
            os.environ[_FOLDER] = stack.enter_context(folder)
            stack.callback(os.environ.pop, _FOLDER)
        from chatkit.metrics import collect_metrics, serve_metrics

        if counts_here:
            collect_metrics()
        try:
            found, end = serve_metrics(int(port), host.strip("[]"))
        except OSError as error:
            raise CommandError(f"The metrics cannot be served at {settings.metrics}: {error}.") from error
        stack.callback(end)
        yield replace(settings, metrics=f"{host}:{found}")


def _memory_disk() -> str | None:
    """Returns a folder in memory: a disk that is full would end processes that write to files mapped from it."""
    return _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else None


def begin_in_worker(settings: ServeSettings) -> None:
    """Begins to count and to trace in a worker process, if that was asked for."""
    _begin_tracing(settings)
    if settings.metrics is not None:
        from chatkit.metrics import collect_metrics

        collect_metrics()


def _begin_tracing(settings: ServeSettings) -> None:
    if settings.traces:
        from chatkit.tracing import collect_traces

        collect_traces(content="content" in settings.traces, storage="storage" in settings.traces)


def describe_telemetry(settings: ServeSettings) -> list[str]:
    """Returns what is said of the audit log, metrics and traces at the start."""
    lines = list[str]()
    if settings.audit:
        place = "the database of the threads" if settings.audit_db is None else describe(settings.audit_db)
        lines.append(f"The audit log is kept in {place}.")
    if settings.traces:
        from chatkit.tracing import has_sdk

        if not has_sdk():
            lines.append(
                "WARNING: Traces go nowhere, as no SDK of OpenTelemetry is set up: start the command by "
                "opentelemetry-instrument, or set a tracer provider in the module of the target."
            )
        if "content" in settings.traces:
            lines.append("Traces have what users, models and tools say.")
    address = settings.metrics
    if address is None:
        return lines
    lines.append(f"Prometheus finds metrics at http://{address}/metrics.")
    host = address.rpartition(":")[0].strip("[]")
    if host != "localhost" and not is_loopback(host):
        lines.append(
            "WARNING: The metrics need no token, and their address can be reached from other machines."
        )
    return lines
