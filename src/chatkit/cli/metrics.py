"""``chatkit serve --metrics``: what Prometheus scrapes, on a port of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chatkit.cli.hosts import is_loopback
from chatkit.cli.options import CommandError

if TYPE_CHECKING:
    from chatkit.cli.serve import ServeSettings

__all__ = ["count_in_worker", "describe_metrics", "serving_metrics"]

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def serving_metrics(settings: ServeSettings) -> Generator[ServeSettings]:
    """Answers Prometheus while the block runs, if that was asked for; yields the settings with the port that it has.

    Workers write what they count into a folder, from where this process reads it: a worker that dies takes nothing
    with it.

    Raises:
        CommandError: The address cannot be listened on.
        MissingExtraError: prometheus-client is not installed.
    """
    if settings.metrics is None:
        yield settings
        return
    host, _, port = settings.metrics.rpartition(":")
    with ExitStack() as stack:
        counts_here = settings.workers == 1 and not settings.dev
        if not counts_here and not os.environ.get(_FOLDER):
            # Before prometheus_client is imported, here and in the workers: it looks for this then.
            os.environ[_FOLDER] = stack.enter_context(tempfile.TemporaryDirectory(prefix="chatkit-metrics-"))
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


def count_in_worker(settings: ServeSettings) -> None:
    """Begins to count in a worker process, if that was asked for."""
    if settings.metrics is not None:
        from chatkit.metrics import collect_metrics

        collect_metrics()


def describe_metrics(address: str | None) -> list[str]:
    """Returns what is said of the metrics at the start."""
    if address is None:
        return []
    lines = [f"Prometheus finds metrics at http://{address}/metrics."]
    host = address.rpartition(":")[0].strip("[]")
    if host != "localhost" and not is_loopback(host):
        lines.append(
            "WARNING: The metrics need no token, and their address can be reached from other machines."
        )
    return lines
