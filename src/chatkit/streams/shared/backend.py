"""The earlier address of ``chatkit.streams.backend``."""

from __future__ import annotations

from chatkit.streams.backend import *  # noqa: F403 -- all that it offers
