"""Every request type of the protocol has its function."""

from __future__ import annotations

import inspect
from typing import get_args, get_type_hints

from chatkit.server.requests import HANDLERS
from chatkit.server.turns.results import StreamingResult
from chatkit.types import ChatKitReq, StreamingReq


def test_every_request_type_has_a_function() -> None:
    assert set(HANDLERS) == set(get_args(get_args(ChatKitReq)[0]))


def test_each_function_takes_the_parameters_of_its_request() -> None:
    for request, handle in HANDLERS.items():
        hints = get_type_hints(handle)
        assert hints["params"] is request.model_fields["params"].annotation, request
        assert (hints["return"] is StreamingResult) == (request in get_args(StreamingReq)), request
        assert inspect.iscoroutinefunction(handle)
