"""One class for each component of a widget, deprecated as in ``openai-chatkit`` 1.6.

``text``, ``controls``, ``chart`` and ``containers`` have the classes, ``values`` the types of their properties. All are
public in ``chatkit.widgets``.
"""
