"""The version of this package, also where ``openai-chatkit`` has its own."""

from chatkit import __version__

__all__ = ["__version__"]
