"""The ``chatkit`` command."""

from chatkit.cli.main import main

__all__ = ["main"]
