"""The terminal: lines in, text out."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from importlib import import_module
from typing import Final, TextIO

__all__ = ["Console", "printable"]

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All but line feeds and tabs."""


def printable(text: str) -> str:
    """Returns the text without control characters, with which a server could steer the user's terminal."""
    return _CONTROL.sub("", text)


class Console:
    """Reads lines and writes text, with a prompt and colours where there is a terminal."""

    def __init__(self, stdin: TextIO | None = None, stdout: TextIO | None = None) -> None:
        self._in = stdin or sys.stdin
        self._out = stdout or sys.stdout
        self._middle_of_line = False
        self.interactive = self._in.isatty() and self._out.isatty()
        self._colours = self._out.isatty() and not os.environ.get("NO_COLOR")
        reconfigure = getattr(self._out, "reconfigure", None)
        if reconfigure is not None:
            # A terminal that cannot show a character shows a question mark, and the chat goes on.
            reconfigure(errors="replace")
        if self.interactive:
            with suppress(ImportError):
                # Its import is what gives input() editing and history.
                import_module("readline")

    def ask(self, prompt: str) -> str | None:
        """Returns the next line without its end, or None at the end of the input; Ctrl-C is a KeyboardInterrupt."""
        self.end_line()
        if self.interactive:
            try:
                line = input(prompt)
            except EOFError:
                self.line("")
                return None
        else:
            line = self._in.readline()
            if not line:
                return None
        # Bytes that are no UTF-8 reach Python as lone surrogates, which no JSON text can hold.
        return line.rstrip("\r\n").encode("utf-8", "replace").decode("utf-8")

    def write(self, text: str) -> None:
        """Writes a piece of streamed text at once."""
        if text:
            self._out.write(printable(text))
            self._out.flush()
            self._middle_of_line = not text.endswith("\n")

    def line(self, text: str) -> None:
        """Writes a line of its own."""
        self.end_line()
        self._out.write(printable(text) + "\n")
        self._out.flush()

    def aside(self, text: str) -> None:
        """Writes a line about the conversation, dimmed where colours are."""
        self.end_line()
        shown = printable(text)
        self._out.write(f"\x1b[2m{shown}\x1b[0m\n" if self._colours else f"{shown}\n")
        self._out.flush()

    def end_line(self) -> None:
        """Begins a new line unless one was just begun."""
        if self._middle_of_line:
            self._out.write("\n")
            self._out.flush()
            self._middle_of_line = False
