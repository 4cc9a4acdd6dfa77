"""The adapter of ten-method stores under its earlier address and names."""

from chatkit.dialects.adapters import adapt_store
from chatkit.dialects.reference.store import StoreAdapter

__all__ = ["LiftedStore", "StoreAdapter", "adapt_store", "lift_store"]

LiftedStore = StoreAdapter
lift_store = adapt_store
