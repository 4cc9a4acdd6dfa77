"""The adapter of file stores under its earlier address and names."""

from chatkit.dialects.adapters import adapt_files
from chatkit.dialects.reference.files import AttachmentIdFactory, FileStoreAdapter

__all__ = ["AttachmentIdFactory", "FileStoreAdapter", "LiftedFileStore", "adapt_files", "lift_files"]

LiftedFileStore = FileStoreAdapter
lift_files = adapt_files
