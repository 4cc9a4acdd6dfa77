"""Adapters from the interfaces that applications are written for to the server's own.

``reference`` adapts the interfaces of the server integration reference, ``openai_chatkit`` those of ``openai-chatkit``.
``adapters`` chooses between the two, ``actions`` calls action handlers in either spelling, and ``signed_ids`` makes
attachment ids that describe their file. Nothing is imported here: ``openai_chatkit.installation`` has to work where
other modules are overwritten.
"""
