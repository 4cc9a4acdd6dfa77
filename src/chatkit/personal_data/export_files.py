"""The format of exports: a folder of JSON lines and files, written and checked as a stream.

``data.jsonl`` has one object a line, whose ``kind`` says what it is; the first is the head, the last the end.
``export.json``, written last, has the digest of that file. ``docs/personal-data.md`` describes each kind.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, cast

from chatkit.errors import ExportError

__all__ = ["FORMAT", "LINES", "MANIFEST", "ExportReader", "ExportWriter", "KeptFile", "check_is_new"]

FORMAT: Final = 1
"""The version of the format; a reader takes those up to its own."""
LINES: Final = "data.jsonl"
MANIFEST: Final = "export.json"
_FILES: Final = "files"
_ENDS_OF_LINES: Final = "\x85\u2028\u2029"


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of an export.

    Attributes:
        path: Below the folder.
        sha256: Its digest, in hexadecimal digits.
        size: Bytes.
    """

    path: str
    sha256: str
    size: int


def check_is_new(folder: Path) -> None:
    """Raises ExportError where there is something of that name, a link to nothing as well."""
    if os.path.lexists(folder):
        raise ExportError(f"{folder} exists. Name a folder that does not.")


class ExportWriter:
    """Writes a folder that has its name once it is complete.

    Args:
        folder: It does not exist.

    Raises:
        ExportError: It exists, or cannot be made, or there is what another export has begun.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = folder.with_name(f"{folder.name}.partial")
        self._lines: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self.counts: dict[str, int] = {}
        self.files = 0

    def __enter__(self) -> ExportWriter:
        check_is_new(self._folder)
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            if self._made.exists():
                raise ExportError(
                    f"{self._made} exists: another export writes it, or one that was cut off has left it. Delete it, "
                    "or name another folder."
                )
            self._made.mkdir(mode=0o700)
        except OSError as error:
            raise self._failed(error) from error
        try:
            (self._made / _FILES).mkdir(mode=0o700)
            self._lines = (self._made / LINES).open("wb")
        except OSError as error:
            shutil.rmtree(self._made, ignore_errors=True)
            raise self._failed(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lines is not None:
            with suppress(OSError):
                self._lines.close()
        shutil.rmtree(self._made, ignore_errors=True)

    def _failed(self, error: OSError) -> ExportError:
        return ExportError(f"{self._folder} cannot be written: {error.strerror or error}.")

    def write(self, kind: str, **fields: Any) -> None:
        """Writes a line.

        Args:
            kind: What it is.
            fields: The rest of it.
        """
        line = json.dumps({"kind": kind, **fields}, ensure_ascii=False, separators=(",", ":"))
        # What some readers take for the end of a line, and half characters, as JSON's escapes.
        for character in _ENDS_OF_LINES:
            line = line.replace(character, f"\\u{ord(character):04x}")
        self._write(line.encode("utf-8", "backslashreplace") + b"\n")
        if kind not in {"export", "end"}:
            self.counts[kind] = self.counts.get(kind, 0) + 1

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        try:
            cast("IO[bytes]", self._lines).write(data)
        except OSError as error:
            raise self._failed(error) from error

    async def add_file(self, chunks: AsyncIterator[bytes], suffix: str = "") -> KeptFile:
        """Writes a file as it comes, and returns where it is."""
        name = f"{_FILES}/{self.files + (not suffix):06}{suffix}"
        digest, size = hashlib.sha256(), 0
        try:
            with (self._made / name).open("wb") as file:
                async for chunk in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
        except OSError as error:
            raise self._failed(error) from error
        self.files += not suffix
        return KeptFile(name, digest.hexdigest(), size)

    def finish(self, owner: str, made_at: str) -> None:
        """Writes the end and the manifest, and gives the folder its name."""
        self.write("end", counts=dict(self.counts))
        about = {
            "format": FORMAT,
            "owner": owner,
            "made_at": made_at,
            "counts": self.counts,
            "files": self.files,
            "sha256": self._digest.hexdigest(),
        }
        try:
            lines = cast("IO[bytes]", self._lines)
            lines.flush()
            os.fsync(lines.fileno())
            lines.close()
            with (self._made / MANIFEST).open("w", encoding="utf-8", errors="backslashreplace") as file:
                json.dump(about, file, ensure_ascii=False, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            self._made.rename(self._folder)
        except OSError as error:
            raise self._failed(error) from error


class ExportReader:
    """Reads what ``ExportWriter`` wrote.

    Args:
        folder: The folder.

    Raises:
        ExportError: It is no export, or of a later version.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            about: Any = json.loads((folder / MANIFEST).read_text("utf-8"))
            owner: Any = about["owner"]
            if not isinstance(owner, str):
                raise TypeError(f"the owner is {owner!r}")
            self.format, self.owner = int(about["format"]), owner
            self.counts, self._sha256 = dict(about["counts"]), str(about["sha256"])
        except OSError as error:
            raise ExportError(
                f"{folder} is no export, or not a complete one: it has no {MANIFEST}, which is written last "
                f"({error.strerror or error})."
            ) from error
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ExportError(f"{folder / MANIFEST} is damaged: {error!r}.") from error
        if not 1 <= self.format <= FORMAT:
            raise ExportError(
                f"{folder} has format {self.format}, this version of the package knows {FORMAT} at most. Import it "
                "with the version that wrote it, or a newer one."
            )

    def check(self) -> None:
        """Raises ExportError unless the lines and all files are as they were written."""
        digest = hashlib.sha256()
        for line in self._raw():
            digest.update(line)
        if digest.hexdigest() != self._sha256:
            raise self._damaged(f"{LINES} is not as it was written")
        counts: dict[str, int] = {}
        for line in self.lines():
            counts[line["kind"]] = counts.get(line["kind"], 0) + 1
            for name in ("file", "preview"):
                if line["kind"] == "attachment" and line.get(name) is not None:
                    self._check_file(line[name])
        counts.pop("export", None)
        counts.pop("end", None)
        if counts != self.counts:
            raise self._damaged(f"{LINES} has {counts}, and {MANIFEST} says {self.counts}")

    def _check_file(self, kept: Any) -> None:
        try:
            told, size = kept["sha256"], kept["size"]
        except (KeyError, TypeError) as error:
            raise self._damaged("a line names a file without its digest and size") from error
        path = self.path(kept)
        try:
            # Not what is read for ever, such as a pipe.
            if not path.is_file():
                raise self._damaged(f"{path} cannot be read: it is no file")
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size
        except OSError as error:
            raise self._damaged(f"{path} cannot be read: {error.strerror or error}") from error
        if found != (told, size):
            raise self._damaged(f"{path} is not as it was written")

    def path(self, kept: dict[str, Any]) -> Path:
        """Returns where a file of a line is."""
        name = str(kept.get("path"))
        folder, _, last = name.partition("/")
        if folder != _FILES or not last or "/" in last or "\\" in last or last.startswith("."):
            raise self._damaged(f"a line names the file {name!r}, which no export has")
        return self._folder / _FILES / last

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yields the lines."""
        for number, raw in enumerate(self._raw(), 1):
            try:
                line = json.loads(raw.decode())
                known: bool = isinstance(line["kind"], str)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise self._damaged(f"line {number} of {LINES} cannot be read ({error!r})") from error
            if known:
                yield line

    def _raw(self) -> Iterator[bytes]:
        try:
            with (self._folder / LINES).open("rb") as file:
                yield from file
        except OSError as error:
            raise self._damaged(f"{LINES} cannot be read: {error.strerror or error}") from error

    def _damaged(self, how: str) -> ExportError:
        return ExportError(
            f"The export {self._folder} is damaged: {how}. Nothing was imported; export it again."
        )
