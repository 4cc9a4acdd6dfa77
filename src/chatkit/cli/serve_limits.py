"""The limits, prices, retention and audit log that options of ``chatkit serve`` give a server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chatkit.cli.serve_audit import audit
from chatkit.limits import Limits
from chatkit.personal_data.retention import RetentionRule
from chatkit.quotas import Quota
from chatkit.server import ChatKitServer
from chatkit.usage import load_prices

if TYPE_CHECKING:
    from chatkit.cli.serve import ServeSettings

__all__ = ["bound"]


def bound(settings: ServeSettings, server: ChatKitServer[Any]) -> None:
    """Gives a server the limits, prices, retention and audit log of the options; the rest stays as the server has it.

    Args:
        settings: The options.
        server: The server.

    Raises:
        ConfigurationError: The file has no prices.
    """
    server.limits = _limits(settings, server)
    if settings.prices is not None:
        server.model_prices = load_prices(settings.prices)
    audit(settings, server)
    if settings.retention:
        server.retention = tuple(map(RetentionRule.parse, settings.retention))


def _limits(settings: ServeSettings, server: ChatKitServer[Any]) -> Limits | None:
    given = {
        "body_bytes": settings.max_body_bytes,
        "running_turns_per_owner": settings.running_turns,
        "kept_bytes_per_owner": settings.kept_bytes,
    }
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if settings.quotas:
        changed["quotas"] = tuple(map(Quota.parse, settings.quotas))
    if settings.unbounded_calls:
        changed["unbounded_calls"] = True
    return replace(server.limits or Limits(), **changed) if changed else server.limits
