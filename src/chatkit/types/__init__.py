"""Models of the protocol, and the interfaces of the reference.

- ``requests``, ``inputs``: what a client asks for, and what such requests carry
- ``events``, ``updates``: what a handler yields and a client receives
- ``items``, ``content``: the entries of a thread, and their parts
- ``threads``: threads, and pages of lists
- ``search``: what a search of threads finds
- ``files``, ``stores``: the reference's interfaces for files and for threads
"""

# ruff: noqa: F403 -- each module lists its names in its own __all__.

from chatkit.actions import Action
from chatkit.errors import ErrorCode
from chatkit.icons import IconName
from chatkit.types import content, events, files, inputs, items, requests, search, threads, updates
from chatkit.types.base import UTCDateTime, to_wire
from chatkit.types.content import *
from chatkit.types.events import *
from chatkit.types.files import *
from chatkit.types.inputs import *
from chatkit.types.items import *
from chatkit.types.requests import *
from chatkit.types.search import *

# Not in __all__: `from chatkit.types import *` must not put it in the place of chatkit.store.Store.
from chatkit.types.stores import Store as Store
from chatkit.types.threads import *
from chatkit.types.threads import T as T
from chatkit.types.updates import *
from chatkit.widgets import WidgetComponent, WidgetRoot

__all__ = ["Action", "ErrorCode", "IconName", "UTCDateTime", "WidgetComponent", "WidgetRoot", "to_wire"]
__all__ += content.__all__
__all__ += events.__all__
__all__ += files.__all__
__all__ += inputs.__all__
__all__ += items.__all__
__all__ += requests.__all__
__all__ += search.__all__
__all__ += threads.__all__
__all__ += updates.__all__
# Constants, classes, functions. Type checkers know what the list holds as long as no method of it is called.
list[str].sort(__all__, key=lambda name: (not name.isupper(), name))
