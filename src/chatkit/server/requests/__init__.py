"""One function per request type; ``HANDLERS`` says which.

Each takes the scope and the parameters of a request. It returns JSON, or a stream that reads the turn it has begun. The
modules are named after what their requests are about, ``attachments`` has dictation too, and ``turns`` what all turns
share; each lists its own.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from chatkit.server.requests import actions, answers, attachments, items, messages, search, threads, turns
from chatkit.server.requests.once import answered_once
from chatkit.server.scope import RequestScope
from chatkit.server.turns.results import StreamingResult
from chatkit.types import (
    AttachmentsCreateReq,
    AttachmentsDeleteReq,
    BaseReq,
    ItemsFeedbackReq,
    ThreadsDeleteReq,
    ThreadsSyncCustomActionReq,
    ThreadsUpdateReq,
)

__all__ = ["HANDLERS", "RequestHandler"]

RequestHandler: TypeAlias = Callable[[RequestScope, Any], Awaitable[bytes | StreamingResult]]

_MODULES = (actions, answers, attachments, items, messages, search, threads, turns)
# Those that begin a turn see to it themselves; the others read.
_CHANGING = (
    *(ThreadsUpdateReq, ThreadsDeleteReq, ThreadsSyncCustomActionReq),
    *(ItemsFeedbackReq, AttachmentsCreateReq, AttachmentsDeleteReq),
)
HANDLERS: Final[dict[type[BaseReq], RequestHandler]] = {
    request: answered_once(handler) if request in _CHANGING else handler
    for module in _MODULES
    for request, handler in module.HANDLERS.items()
}
