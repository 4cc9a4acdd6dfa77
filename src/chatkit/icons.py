"""Names of the icons that a front end can draw.

An icon is one of the 64 names that every ChatKit front end ships, or a name that starts with ``vendor:`` or
``lucide:`` for a front end that draws icons of those families.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import StringConstraints

__all__ = ["IconName", "LucideIconName", "VendorIconName"]

VendorIconName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^vendor:")]
"""An icon that the front end's vendor supplies, such as ``vendor:logo``."""

LucideIconName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^lucide:")]
"""An icon of the Lucide collection, such as ``lucide:rocket``."""

IconName: TypeAlias = (
    Literal[
        "agent",
        "analytics",
        "atom",
        "batch",
        "bolt",
        "book-clock",
        "book-closed",
        "book-open",
        "bug",
        "calendar",
        "chart",
        "check",
        "check-circle",
        "check-circle-filled",
        "chevron-left",
        "chevron-right",
        "circle-question",
        "clock",
        "compass",
        "confetti",
        "cube",
        "desktop",
        "document",
        "dot",
        "dots-horizontal",
        "dots-vertical",
        "empty-circle",
        "external-link",
        "globe",
        "images",
        "info",
        "keys",
        "lab",
        "lifesaver",
        "lightbulb",
        "mail",
        "map-pin",
        "maps",
        "mobile",
        "name",
        "notebook",
        "notebook-pencil",
        "page-blank",
        "phone",
        "play",
        "plus",
        "profile",
        "profile-card",
        "reload",
        "search",
        "settings-slider",
        "sparkle",
        "sparkle-double",
        "square-code",
        "square-image",
        "square-text",
        "star",
        "star-filled",
        "suitcase",
        "user",
        "wreath",
        "write",
        "write-alt",
        "write-alt2",
    ]
    | VendorIconName
    | LucideIconName
)
"""Any icon that a front end may be asked to draw."""
