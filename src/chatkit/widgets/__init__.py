"""Widgets: the components that a message of the server can be made of.

A widget is a tree of components with a root, `Card`, `ListView` or `BasicRoot`. `WidgetRoot` and
`WidgetComponent` are the unions of what can stand at the root and below it.
"""

# ruff: noqa: F403 -- each module of components lists its names in its own __all__.

from chatkit.actions import ActionConfig
from chatkit.icons import IconName
from chatkit.widgets.base import DynamicWidgetComponent, WidgetComponentBase
from chatkit.widgets.components import chart, containers, controls, text, values
from chatkit.widgets.components.chart import *
from chatkit.widgets.components.containers import *
from chatkit.widgets.components.controls import *
from chatkit.widgets.components.text import *
from chatkit.widgets.components.values import *
from chatkit.widgets.roots import BasicRoot, DynamicWidgetRoot, StrictWidgetRoot, WidgetRoot
from chatkit.widgets.template import WidgetTemplate

__all__ = [
    "ActionConfig",
    "BasicRoot",
    "DynamicWidgetComponent",
    "DynamicWidgetRoot",
    "IconName",
    "StrictWidgetRoot",
    "WidgetComponentBase",
    "WidgetRoot",
    "WidgetTemplate",
]
__all__ += chart.__all__
__all__ += containers.__all__
__all__ += controls.__all__
__all__ += text.__all__
__all__ += values.__all__
# Type checkers know what the list holds as long as no method of it is called.
list[str].sort(__all__)
