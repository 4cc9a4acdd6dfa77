"""The built-in guide: an assistant without a model that shows by command what the protocol can do."""

from chatkit.demo.server import GuideServer

__all__ = ["GuideServer"]
