"""Private methods of ``openai-chatkit`` 1.6.5, which its applications may have overridden."""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["NEVER_CALLED", "warn_of_private_methods"]

logger = logging.getLogger("chatkit.server")

NEVER_CALLED: Final = frozenset(
    {
        "_apply_assistant_message_update",
        "_apply_structured_input_submission",
        "_build_user_message_item",
        "_cleanup_pending_client_tool_call",
        "_get_attachment_store",
        "_load_full_thread",
        "_paginate_thread_items_reverse",
        "_process_events",
        "_process_new_thread_item_respond",
        "_process_non_streaming",
        "_process_streaming",
        "_process_streaming_impl",
        "_process_sync_custom_action",
        "_serialize",
        "_to_thread_response",
        "_update_pending_items",
    }
)


def warn_of_private_methods(server: type) -> None:
    """Warns of methods that a class of servers overrides, and that this package never calls."""
    if found := sorted(NEVER_CALLED & vars(server).keys()):
        logger.warning(
            "%s overrides what openai-chatkit calls and this package does not: %s. The guide to migration names "
            "what to use instead.",
            server.__qualname__,
            ", ".join(found),
        )
