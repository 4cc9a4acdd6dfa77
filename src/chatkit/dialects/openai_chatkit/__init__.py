"""The interfaces of ``openai-chatkit`` 1.6.5.

``store`` and ``files`` adapt stores that were written for it, ``store_results`` reads what these return, and ``calls``
calls methods as it does. ``names``, ``server_names`` and ``agents_names`` are what its modules offer,
``private_methods`` what its applications may have overridden. ``installation``
finds it installed beside this package, which is why nothing is imported here.
"""
