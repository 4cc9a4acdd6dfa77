"""Who asks: the context that handlers and stores get, and the owner that it is in the stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final
from urllib.parse import unquote

from chatkit.hosted.models import Session
from chatkit.store.owners import joined_owner

__all__ = ["HostedContext", "owner_of", "owners_below", "parts_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedContext(Mapping[str, Any]):
    """The context of a request of hosted ChatKit.

    Its attributes, ``user_id`` too, can be read as in a mapping: ``context["user_id"]``, ``context.get("version")``.

    Attributes:
        tenant: Whose API key opened the session.
        user: The tenant's name for the user.
        workflow: The id of the workflow.
        session_id: The session; None for a request of the tenant's server.
        version: The workflow's version that the session asked for.
        state_variables: Those of the session.
        tracing: Whether the session wants runs traced.
        automatic_thread_titling: Whether ``set_title_beside`` gives threads titles.
    """

    tenant: str
    user: str
    workflow: str
    session_id: str | None = None
    version: str | None = None
    state_variables: Mapping[str, str | int | bool | float] = field(
        default_factory=dict[str, "str | int | bool | float"]
    )
    tracing: bool = True
    automatic_thread_titling: bool = True

    @property
    def user_id(self) -> str:
        """The owner of the user's threads, files and turns: no other tenant, user or workflow has the same."""
        return owner_of(self.tenant, self.user, self.workflow)

    def __getitem__(self, name: str) -> Any:
        if name not in _NAMES:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)

    @classmethod
    def of(cls, session: Session) -> HostedContext:
        """Returns the context of a session's requests."""
        return cls(
            tenant=session.tenant,
            user=session.user,
            workflow=session.workflow.id,
            session_id=session.id,
            version=session.workflow.version,
            state_variables=session.workflow.state_variables or {},
            tracing=session.workflow.tracing.enabled,
            automatic_thread_titling=session.configuration.automatic_thread_titling.enabled,
        )


_NAMES: Final = (*(entry.name for entry in fields(HostedContext)), "user_id")


def owner_of(tenant: str, user: str, workflow: str) -> str:
    """Returns the one owner in the stores that a tenant, user and workflow are: ``tenant/user/workflow``."""
    return joined_owner(tenant, user, workflow)


def owners_below(tenant: str, user: str | None = None) -> str:
    """Returns what the owners of a tenant begin with, or those of one of its users, and no other owner does."""
    return "".join(f"{joined_owner(part)}/" for part in (tenant, user) if part is not None)


def parts_of(owner: str) -> tuple[str, str, str] | None:
    """Returns tenant, user and workflow of an owner; None for one that ``owner_of`` did not make."""
    parts = owner.split("/")
    return (unquote(parts[0]), unquote(parts[1]), unquote(parts[2])) if len(parts) == 3 else None
