"""What an operator looks at, and does, beside the chat: owners, threads, turns and workers; content with a reason.

``chatkit admin`` is this on the command line; a back office calls it with the roles of who is signed in there.
"""

from __future__ import annotations

from chatkit.admin.admin import Admin
from chatkit.admin.records import OpenedThread, Rating, StuckTurn

__all__ = ["Admin", "OpenedThread", "Rating", "StuckTurn"]
