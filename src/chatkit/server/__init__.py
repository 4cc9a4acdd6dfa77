"""The server: subclass :class:`ChatKitServer`, override ``respond()``, call ``process()`` from one HTTP endpoint.

``server`` takes requests, ``handlers`` is what an application overrides, ``scope`` what a request is carried out with.
``requests`` has one function per request type, ``turns`` runs the handlers, and ``wire`` writes what clients get.
"""

from chatkit.dialects.openai_chatkit.server_names import *  # noqa: F403
from chatkit.server import journal
from chatkit.server.requests.items import DEFAULT_PAGE_SIZE
from chatkit.server.server import ChatKitServer
from chatkit.server.server import TContext as TContext
from chatkit.server.turns.ending import Interrupted
from chatkit.server.turns.registry import ConcurrencyPolicy, DisconnectPolicy
from chatkit.server.turns.results import NonStreamingResult, StreamingResult
from chatkit.server.turns.usage import ModelCall, model_call, record_usage
from chatkit.server.user_agent import agents_sdk_user_agent_override
from chatkit.server.widget_stream import stream_widget
from chatkit.store.base import default_generate_id
from chatkit.widget_diff import diff_widget

DEFAULT_ERROR_MESSAGE = "An error occurred when generating a response."
"""What an application can tell a user when it has nothing better to say."""

__all__ = [
    "DEFAULT_ERROR_MESSAGE",
    "DEFAULT_PAGE_SIZE",
    "ChatKitServer",
    "ConcurrencyPolicy",
    "DisconnectPolicy",
    "Interrupted",
    "ModelCall",
    "NonStreamingResult",
    "StreamingResult",
    "agents_sdk_user_agent_override",
    "default_generate_id",
    "diff_widget",
    "journal",
    "model_call",
    "record_usage",
    "stream_widget",
]
