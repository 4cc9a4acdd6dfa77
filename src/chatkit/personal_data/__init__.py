"""What is kept of a person: export, import, erasure and retention.

``registry`` names every table, key and folder that may hold something of a person.
"""

from __future__ import annotations

from chatkit.personal_data.data import PersonalData, Vacuum
from chatkit.personal_data.receipts import ExportReport, ImportReport, Leftover, Receipt, RetentionReport
from chatkit.personal_data.retention import RetentionRule

__all__ = [
    "ExportReport",
    "ImportReport",
    "Leftover",
    "PersonalData",
    "Receipt",
    "RetentionReport",
    "RetentionRule",
    "Vacuum",
]
