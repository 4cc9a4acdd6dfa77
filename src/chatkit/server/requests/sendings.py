"""A request that was sent under an idempotency key, perhaps not for the first time, and what is stored of it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any, Final, NamedTuple, TypeAlias

from chatkit._secrets import configured_secrets
from chatkit.dialects.openai_chatkit.store import OpenAIStoreAdapter, newest_items
from chatkit.errors import InvalidRequestError
from chatkit.server.reviews import reviews_input
from chatkit.server.scope import RequestScope
from chatkit.server.turns.turn import Turn
from chatkit.server.wire import (
    FAILED,
    INTERRUPTED,
    done_event,
    end_frame,
    is_hidden,
    item_json,
    thread_event,
    thread_json,
)
from chatkit.sse import encode_event
from chatkit.streams.base import EndState
from chatkit.types import BaseReq, ThreadItem, ThreadsCreateReq, UserMessageItem

__all__ = [
    "OTHER_REQUEST",
    "Fingerprint",
    "MakeTurn",
    "Sending",
    "fingerprint",
    "idempotency_key",
    "stored_frames",
]

_PAGE_SIZE: Final = 100
_WORDS: Final = {"input", "result", "action", "title", "name"}
"""Parameters of requests that hold what users write."""
_ERRORS: Final[Mapping[EndState | None, bytes]] = {EndState.INTERRUPTED: INTERRUPTED, EndState.FAILED: FAILED}

OTHER_REQUEST: Final = "This idempotency key was used for another request. Make a new key."

MakeTurn: TypeAlias = Callable[[], Awaitable[Turn]]


class Fingerprint(NamedTuple):
    """What two requests with the same key have in common if they ask for the same.

    Attributes:
        kept: What is kept of a request.
        known: What may have been kept of the same one.
    """

    kept: str
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sending:
    """A request that was sent under a key, perhaps not for the first time.

    Attributes:
        scope: The request.
        key: Its key.
        fingerprint: What is compared with that of another request with the key.
        make_turn: Makes its turn.
        make_again: Makes it where what it writes first is stored already; by default one that answers the message.
    """

    scope: RequestScope
    key: str
    fingerprint: Fingerprint
    make_turn: MakeTurn
    make_again: MakeTurn | None = None


def idempotency_key(metadata: Mapping[str, Any]) -> str | None:
    """Returns the key under which the same request may be sent again; raises InvalidRequestError if it is none."""
    key = metadata.get("idempotency_key")
    if key is None:
        return None
    if not isinstance(key, str) or not 1 <= len(key) <= 255 or "\0" in key:
        raise InvalidRequestError(
            "metadata.idempotency_key must be a text of 1 to 255 characters, none of them NUL."
        )
    return key


def fingerprint(scope: RequestScope, request: BaseReq) -> Fingerprint:
    """Returns what two requests have in common when they ask for the same; their metadata may differ.

    Where the application reviews what users send, it is kept of what the review takes out, too. Then it tells nobody
    who does not know the application's secret what that was; without a secret it is made without the user's words.
    """
    text = request.model_dump_json(exclude={"metadata"})
    plain = hashlib.sha256(text.encode()).hexdigest()
    if not reviews_input(scope):
        return Fingerprint(plain, frozenset((plain,)))
    left_out: Any = {"metadata": True, "params": _WORDS}
    wordless = _keyed(b"", request.model_dump_json(exclude=left_out))
    keyed = [_keyed(secret, text) if secret else wordless for secret in configured_secrets()]
    # Those of a secret that was replaced, and of a time without this one or without the review, are good too.
    return Fingerprint(keyed[0], frozenset((*keyed, wordless, plain)))


def _keyed(secret: bytes, text: str) -> str:
    return hmac.digest(secret, f"chatkit request {text}".encode(), hashlib.sha256).hex()


async def stored_frames(
    scope: RequestScope,
    turn_id: str,
    thread_id: str,
    message_id: str | None,
    end: EndState | None,
    *,
    tells_why: bool = True,
    since: datetime | None = None,
) -> AsyncGenerator[bytes, None]:
    """Returns frames that show a message and what followed it, up to the next message, from the store.

    Args:
        scope: The request.
        turn_id: The turn that the message began.
        thread_id: Its thread.
        message_id: The message; None for a turn that answers none.
        end: How the turn ended, which the stream of a resumable turn says at its end; None for a stream that goes on.
        tells_why: Whether the event goes before that, which says why an answer is not whole.
        since: When a turn that answers no message began: what the thread has got since then is shown, up to the next
            message, perhaps with what other turns that ran beside it have added.

    Raises:
        NotFoundError: The thread or the message was deleted meanwhile.
    """
    store, context = scope.store, scope.context
    thread = await store.load_thread(thread_id, context)
    message = None if message_id is None else await store.load_item(thread_id, message_id, context)

    async def frames() -> AsyncGenerator[bytes, None]:
        created = isinstance(scope.request, ThreadsCreateReq)
        yield encode_event(thread_event(thread_json(thread), created=created))
        if message is not None:
            yield encode_event(done_event(item_json(message)))
            async for item in _items_after(scope, thread_id, message.id):
                yield encode_event(done_event(item_json(item)))
        elif since is not None:
            for item in await _items_since(scope, thread_id, since):
                yield encode_event(done_event(item_json(item)))
        error = _ERRORS.get(end) if tells_why else None
        if error is not None:
            yield encode_event(error)
        if end is not None and scope.resumable:
            yield end_frame(turn_id, end)

    return frames()


async def _items_since(scope: RequestScope, thread_id: str, since: datetime) -> list[ThreadItem]:
    newest = await newest_items(scope.store, thread_id, _PAGE_SIZE, scope.context)
    added = [item for item in reversed(newest) if item.created_at >= since]
    own = takewhile(lambda item: not isinstance(item, UserMessageItem), added)
    return [item for item in own if not is_hidden(item)]


async def _items_after(scope: RequestScope, thread_id: str, message_id: str) -> AsyncIterator[ThreadItem]:
    store, context = scope.store, scope.context
    if isinstance(store, OpenAIStoreAdapter):
        message_id = store.stored_id(thread_id, message_id, context)
    after: str | None = message_id
    seen = {message_id}
    while after is not None:
        page = await store.load_thread_items(thread_id, after, _PAGE_SIZE, "asc", context)
        # A store that ignores the cursor begins with the oldest item.
        ids = [item.id for item in page.data]
        fresh = page.data[ids.index(message_id) + 1 :] if message_id in ids else page.data
        fresh = [item for item in fresh if item.id not in seen]
        for item in fresh:
            if isinstance(item, UserMessageItem):
                return
            if not is_hidden(item):
                yield item
        seen.update(item.id for item in fresh)
        after = page.after if page.has_more and fresh else None
