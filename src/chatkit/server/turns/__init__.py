"""Turns: executions of a handler in a thread.

``registry`` begins and stops them, ``turn`` runs one, ``pipeline`` takes its events, ``state`` keeps what they come to.
``storage`` stores items, ``output`` sends events, and ``results`` reads a turn for a response. ``ending`` is for turns
that end early, ``cancellation`` and ``resources`` for what a handler leaves, ``background`` for what outlives it, and
``recovery`` continues the turns of workers that died.
"""
