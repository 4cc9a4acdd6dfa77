"""The earlier address of ``chatkit.streams.backends.sqlite``."""

from __future__ import annotations

from chatkit.streams.backends.sqlite import *  # noqa: F403 -- all that it offers
