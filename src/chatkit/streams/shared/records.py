"""Turns and claims of keys as JSON, for the logs that keep them on a server."""

from __future__ import annotations

import json
from datetime import datetime

from chatkit.streams.base import KeyClaim, TurnInfo

__all__ = ["dump_claim", "dump_info", "load_claim", "load_info"]


def dump_info(info: TurnInfo) -> str:
    """Returns a turn as JSON."""
    return json.dumps(
        {
            "id": info.id,
            "thread_id": info.thread_id,
            "owner": info.owner,
            "resumable": info.resumable,
            "user_item_id": info.user_item_id,
            "started_at": info.started_at.isoformat(),
            "context": info.context,
            "attempt": info.attempt,
            "base": info.base,
        },
        separators=(",", ":"),
    )


def load_info(data: bytes | str) -> TurnInfo:
    """Returns the turn that ``dump_info`` wrote."""
    fields = json.loads(data)
    return TurnInfo(**fields | {"started_at": datetime.fromisoformat(fields["started_at"])})


def dump_claim(claim: KeyClaim) -> str:
    """Returns what a key is bound to as JSON."""
    fields = [claim.turn_id, claim.thread_id, claim.fingerprint, claim.user_item_id]
    return json.dumps(fields, separators=(",", ":"))


def load_claim(data: bytes | str) -> KeyClaim:
    """Returns what a key is bound to already."""
    turn_id, thread_id, fingerprint, user_item_id = json.loads(data)
    return KeyClaim(turn_id, thread_id, fingerprint, fresh=False, user_item_id=user_item_id)
