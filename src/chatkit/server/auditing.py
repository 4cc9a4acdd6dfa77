"""What records for a server, as its option ``audit`` says, and what it records at the start."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from chatkit.audit import Auditing, AuditLog, audit_log_of
from chatkit.limits import Limits
from chatkit.server.handlers import Handlers

__all__ = ["auditing_of", "begin_auditing", "is_audited"]


def is_audited(application: Handlers[Any]) -> bool:
    """Returns whether something records for a server: not what else an application has under that name."""
    given = application.audit
    return given is not None and (given is True or isinstance(given, (Auditing, AuditLog)))


def auditing_of(application: Handlers[Any]) -> Auditing:
    """Returns what records for a server for which something does.

    Raises:
        ConfigurationError: It is to be the store's, and the store brings none.
    """
    given = application.audit
    if not isinstance(given, Auditing):
        # From now on the same for all requests.
        given = application.audit = Auditing(given if isinstance(given, AuditLog) else None)
    given.use(lambda: audit_log_of(application.store))
    return given


async def begin_auditing(application: Handlers[Any]) -> None:
    """Records the limits that a server starts with, if they are others than before."""
    limits = asdict(application.limits or Limits())
    files = application.file_limits
    quotas = [
        {"what": quota.what, "most": str(quota.most), "seconds": quota.seconds, "by": quota.by}
        for quota in (application.limits or Limits()).quotas
    ]
    bounds = {
        "limits": limits | {"quotas": quotas},
        "files": None if files is None else {**asdict(files), "mime_types": list(files.mime_types)},
    }
    kind = type(application)
    await auditing_of(application).began(f"{kind.__module__}.{kind.__qualname__}", bounds)
