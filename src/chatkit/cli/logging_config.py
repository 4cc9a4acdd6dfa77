"""How ``chatkit serve`` logs: uvicorn's configuration, with our own messages in it."""

from __future__ import annotations

import copy
import logging
from typing import Any

from uvicorn.config import LOGGING_CONFIG

__all__ = ["logging_config"]


def logging_config(level: str, form: str = "text", *, audit: bool = False) -> dict[str, Any]:
    """Returns uvicorn's configuration with our own messages in it, unless the target looks after them.

    Args:
        level: Name of uvicorn's level.
        form: How a record is written: ``"text"`` or ``"json"``.
        audit: Whether the log says where the audit log ends, whatever the level.
    """
    config = copy.deepcopy(LOGGING_CONFIG)
    if form == "json":
        config["formatters"] = {name: {"()": "chatkit.logs.JSONFormatter"} for name in config["formatters"]}
    if not logging.getLogger("chatkit").hasHandlers():
        # "trace" is a level of uvicorn's own.
        level = "DEBUG" if level == "trace" else level.upper()
        config["loggers"]["chatkit"] = {"handlers": ["default"], "level": level, "propagate": False}
    if audit:
        config["loggers"]["chatkit.audit"] = {"level": "INFO"}
    return config
