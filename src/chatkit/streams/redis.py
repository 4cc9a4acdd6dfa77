"""The earlier address of ``chatkit.streams.backends.redis``."""

from __future__ import annotations

from chatkit.streams.backends.redis import *  # noqa: F403 -- all that it offers
