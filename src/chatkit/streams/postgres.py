"""The earlier address of ``chatkit.streams.backends.postgres``."""

from __future__ import annotations

from chatkit.streams.backends.postgres import *  # noqa: F403 -- all that it offers
