"""The earlier address of what backends keep of turns and keys."""

from __future__ import annotations

from chatkit.streams.records import *  # noqa: F403 -- all that it offers
