"""Backends of the stream log: where the turns of several workers are kept."""
