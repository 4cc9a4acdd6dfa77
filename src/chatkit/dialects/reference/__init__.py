"""The interfaces of the server integration reference.

``store`` adapts the ten-method store, ``owners`` and ``row_ids`` keep its owners apart, and ``files`` adapts the file
store.
"""
