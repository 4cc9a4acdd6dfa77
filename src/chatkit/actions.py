"""Actions: what a widget asks for when somebody presses, picks or submits something.

`ActionConfig` is the half that travels inside a widget to the front end. `Action` is the half that comes back
to the server's ``action()`` handler. A subclass of a parametrised `Action` names both types once::

    class Rename(Action[Literal["rename"], RenamePayload]): ...

    Button(label="Rename", onClickAction=Rename.create(RenamePayload(title="Plans")))
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    TypeAlias,
    cast,
    get_args,
    get_origin,
)

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import TypeVar

from chatkit._typos import init_that_warns_of_extras
from chatkit.limits import Bound

__all__ = [
    "DEFAULT_HANDLER",
    "DEFAULT_LOADING_BEHAVIOR",
    "Action",
    "ActionConfig",
    "Handler",
    "LoadingBehavior",
]

Handler: TypeAlias = Literal["client", "server"]
"""Who handles an action: the page's own code, or the server's ``action()``."""

LoadingBehavior: TypeAlias = Literal["auto", "none", "self", "container"]
"""What shows that an action is under way: the front end's choice, nothing, the control, or its container."""

DEFAULT_HANDLER: Final[Handler] = "server"
DEFAULT_LOADING_BEHAVIOR: Final[LoadingBehavior] = "auto"

TType = TypeVar("TType", bound=str, default=str)
TPayload = TypeVar("TPayload", default=Any)


class ActionConfig(BaseModel):
    """An action as a widget carries it.

    Attributes:
        type: The name by which the handler knows the action.
        payload: JSON-serialisable data that comes back with the action.
        handler: Who handles it.
        loadingBehavior: What shows that it is under way.
        streaming: Whether the server answers with a stream (``action()``) or one reply (``sync_action()``).
    """

    # A stored widget may have been written by a newer version: what is not known here is kept.
    model_config = ConfigDict(defer_build=True, extra="allow")

    type: str
    payload: Any = None
    handler: Handler = DEFAULT_HANDLER
    loadingBehavior: LoadingBehavior = DEFAULT_LOADING_BEHAVIOR  # noqa: N815 - the protocol's spelling
    streaming: bool = True

    if not TYPE_CHECKING:
        __init__ = init_that_warns_of_extras


class Action(BaseModel, Generic[TType, TPayload]):
    """An action that somebody triggered, as it reaches the server.

    Where `TType` is a literal with one value, that value is the default of `type`.

    Attributes:
        type: The name of the action; it cannot be reassigned.
        payload: The data that the widget gave the action, None if it gave none.
    """

    model_config = ConfigDict(defer_build=True)

    type: Annotated[TType, Bound("name_chars")] = Field(default=..., frozen=True)
    payload: Annotated[TPayload, Bound("payload_bytes")] = Field(default=cast("Any", None))

    @model_validator(mode="before")
    @classmethod
    def _default_type(cls, data: Any) -> Any:
        if isinstance(data, dict):
            fields = cast("dict[str, Any]", data)
            name = cls._literal_type()
            return fields if name is None else {"type": name, **fields}
        return data

    @classmethod
    def _literal_type(cls) -> str | None:
        """Returns the one value that `type` can have, or None if there is not exactly one."""
        annotation = cls.model_fields["type"].annotation
        values = get_args(annotation) if get_origin(annotation) is Literal else ()
        return values[0] if len(values) == 1 else None

    @classmethod
    def create(
        cls,
        payload: TPayload,
        handler: Handler = DEFAULT_HANDLER,
        loading_behavior: LoadingBehavior = DEFAULT_LOADING_BEHAVIOR,
        streaming: bool = True,
    ) -> ActionConfig:
        """Builds the configuration with which a widget triggers this action.

        Args:
            payload: The data that comes back with the action.
            handler: Who handles it.
            loading_behavior: What shows that it is under way.
            streaming: Whether the server answers with a stream or with one reply.

        Raises:
            TypeError: The class does not fix `type` to one literal, so there is no name to send.
        """
        name = cls._literal_type()
        if name is None:
            raise TypeError(
                f"{cls.__name__}.create() needs exactly one action type: derive from "
                "Action[Literal['...'], Payload], or build an ActionConfig(type=..., payload=...) yourself"
            )
        return ActionConfig(
            type=name,
            payload=payload,
            handler=handler,
            loadingBehavior=loading_behavior,
            streaming=streaming,
        )
