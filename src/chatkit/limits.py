"""Every bound on what a client may send and on what an owner may keep running, in one place.

Each is an option: ``ChatKitServer(..., limits=Limits(text_chars=10_000))``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from chatkit._checks import check_annotated
from chatkit._observers import observers
from chatkit.errors import ConfigurationError, TooManyTurnsError
from chatkit.quotas import Quota

__all__ = ["DEFAULT_LIMITS", "Bound", "Id", "Limits", "UsualNumber", "check_room"]


@dataclass(frozen=True, slots=True)
class Bound:
    """Marks a field of a request: names the field of :class:`Limits` that bounds it.

    Attributes:
        limit: That field. One of characters bounds a text, ``list_entries`` a list or map, one of bytes the JSON of
            anything free-form.
    """

    limit: str


@dataclass(frozen=True, slots=True)
class Id(Bound):
    """Marks an id or a cursor: nothing has one with a NUL character in it, which some databases cannot be asked for."""

    limit: str = "name_chars"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on requests, and on what each owner may use of the server.

    The first group holds always. The second one, which counts per owner, is off where it is None, as by default;
    ``create_app`` and ``chatkit serve`` turn it on (``for_service``), but not for a single user.

    Attributes:
        body_bytes: Bytes of a request's body.
        transcribe_bytes: Bytes of the body of ``input.transcribe``, which carries a recording as base64.
        body_values: JSON values in a body, counted before it is parsed.
        payload_bytes: Bytes of JSON of anything free-form: an action's payload, a tag's data, ``metadata``.
        payload_depth: How deep arrays and objects may be nested in anything free-form, a tool's result included.
        result_bytes: Bytes of JSON of what a tool of the page returned, which may hold a picture.
        text_chars: Characters of a message's text, or of any other long text.
        title_chars: Characters of a thread's title, or of a tag's text.
        name_chars: Characters of an id, a name, or any other short text.
        cursor_chars: Characters of a cursor of a page; stores make them.
        list_entries: Entries of a list, or of a map.
        scanned_threads: Threads of all owners that are read for one page, of a store whose interface knows no owners.
        running_turns_per_owner: Turns of one owner that run at once in this process, or wait for their place; one more
            is refused with 429. As many sync actions and transcriptions may be under way. Requests without an owner
            count as one owner's where the number was chosen, and are not counted where it is the usual one.
        kept_bytes_per_owner: Bytes of events kept in memory for the readers of one owner's turns.
        kept_bytes: Bytes of events kept in memory for the readers of all turns of this process.
        quotas: How much each owner, or group of owners, may ask for in a window of time, over all workers.
        unbounded_calls: Whether models may be called although it is not known what the call uses at most, where there
            are quotas of tokens or cost: what it has used is counted after it, and may be more than was left.
    """

    body_bytes: int = 2 * 1024 * 1024
    transcribe_bytes: int = 25 * 1024 * 1024
    body_values: int = 50_000
    payload_bytes: int = 64 * 1024
    payload_depth: int = 100
    result_bytes: int = 2 * 1024 * 1024
    text_chars: int = 256 * 1024
    title_chars: int = 1_000
    name_chars: int = 255
    cursor_chars: int = 4_096
    list_entries: int = 1_000
    scanned_threads: int = 10_000
    running_turns_per_owner: int | None = None
    kept_bytes_per_owner: int | None = None
    kept_bytes: int | None = None
    quotas: tuple[Quota, ...] = ()
    unbounded_calls: bool = False

    def __post_init__(self) -> None:
        for quota in self.quotas:
            check_annotated("Limits(quotas=(...,))", quota, Quota)
        check_annotated("Limits(unbounded_calls=...)", self.unbounded_calls, bool)
        for name in self.__slots__:
            if name in {"quotas", "unbounded_calls"}:
                continue
            value = getattr(self, name)
            if value is None and name in _PER_OWNER:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"Limits({name}=...) must be a whole number from 1, not {value!r}.")

    def for_bodies_of(self, size: int) -> Limits:
        """Returns these limits with one bound on the bytes of all bodies, those of recordings too."""
        return replace(self, body_bytes=size, transcribe_bytes=size)

    def for_service(self) -> Limits:
        """Returns these limits with the usual ones per owner where there are none."""
        unset = {name: value for name, value in _PER_OWNER.items() if getattr(self, name) is None}
        return replace(self, **unset)


class UsualNumber(int):
    """A number that was not chosen: ``for_service`` filled it in."""


_PER_OWNER: Final[dict[str, int]] = {
    "running_turns_per_owner": UsualNumber(20),
    "kept_bytes_per_owner": 32 * 1024 * 1024,
    "kept_bytes": 512 * 1024 * 1024,
}

DEFAULT_LIMITS: Final = Limits()


def check_room(running: int, owner: str | None, most: int | None) -> None:
    """Raises TooManyTurnsError if an owner has as many turns under way as it may.

    Args:
        running: How many it has.
        owner: The owner.
        most: How many it may have; None for any number.
    """
    if owner is None and isinstance(most, UsualNumber):
        # The application never said that all who have no owner are one.
        return
    if most is not None and running >= most:
        for observer in observers():
            observer.reached_limit("running_turns")
        raise TooManyTurnsError(
            f"{running} answers are being written at once, which is as many as may. "
            "Wait until one has ended, or stop one first."
        )
