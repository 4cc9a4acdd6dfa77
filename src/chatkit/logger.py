"""The logger above all loggers of this package. It has no handler and no level: both are the application's."""

import logging

__all__ = ["logger"]

logger = logging.getLogger("chatkit")
