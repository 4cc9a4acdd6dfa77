"""The server side of chat with AI agents.

An application subclasses :class:`chatkit.server.ChatKitServer`, yields thread stream events from ``respond()``, and any
ChatKit front end talks to it over one HTTP endpoint. Importing this package imports nothing else; take names from
``chatkit.server``, ``chatkit.types``, ``chatkit.store`` and their siblings.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
