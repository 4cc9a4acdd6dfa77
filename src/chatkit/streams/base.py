"""The types of stream logs under their earlier address."""

from __future__ import annotations

from chatkit.streams.log import StreamLog as StreamLog  # noqa: PLC0414 -- offered here
from chatkit.streams.records import *  # noqa: F403 -- all that it offers
