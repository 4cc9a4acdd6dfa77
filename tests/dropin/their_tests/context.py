"""The request context that those tests import, and that is not in the source distribution either."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class RequestContext:
    user_id: str
