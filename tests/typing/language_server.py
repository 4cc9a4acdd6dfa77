"""A language server over standard input and output, as an editor speaks to it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.scale import scaled

LIMIT = scaled(60.0)
"""Seconds after which an answer has not come."""


class Editor:
    """Opens documents in a server, and asks about places in them."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._number = 0

    async def open(self, name: str, text: str) -> str:
        """Opens a document and returns its address."""
        uri = (self._folder / name).as_uri()
        document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        await self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return uri

    async def completions(self, uri: str, line: int, character: int) -> set[str]:
        """Returns the names that are offered at a place; lines and characters count from 0."""
        found = await self._ask_at("completion", uri, line, character)
        return {item["label"] for item in found["items"]}

    async def hover(self, uri: str, line: int, character: int) -> str:
        """Returns what is shown of a name."""
        found = await self._ask_at("hover", uri, line, character)
        return found["contents"]["value"] if found else ""

    async def _ask_at(self, what: str, uri: str, line: int, character: int) -> Any:
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        return await self.ask(f"textDocument/{what}", place)

    async def ask(self, method: str, params: Any) -> Any:
        """Sends a request, answers what the server asks meanwhile, and returns the result."""
        self._number += 1
        await self._send({"id": self._number, "method": method, "params": params})
        async with asyncio.timeout(LIMIT):
            while True:
                message = await self._read()
                if "method" in message and "id" in message:
                    await self._answer(message)
                elif message.get("id") == self._number:
                    assert "error" not in message, message
                    return message["result"]

    async def tell(self, method: str, params: Any) -> None:
        """Sends a notification."""
        await self._send({"method": method, "params": params})

    async def _answer(self, request: dict[str, Any]) -> None:
        result: Any = None
        if request["method"] == "workspace/configuration":
            python = {"pythonPath": sys.executable}
            result = [
                python if item.get("section") == "python" else {} for item in request["params"]["items"]
            ]
        await self._send({"id": request["id"], "result": result})

    async def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await self._process.stdin.drain()

    async def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        head = await self._process.stdout.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length")
        )
        return json.loads(await self._process.stdout.readexactly(length))


@asynccontextmanager
async def editor(folder: Path) -> AsyncGenerator[Editor, None]:
    """Starts a language server for the files of a folder, and ends it."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("basedpyright-langserver")),
        "--stdio",
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    try:
        speaking = Editor(process, folder)
        folders = [{"uri": folder.as_uri(), "name": folder.name}]
        capabilities = {
            "workspace": {"configuration": True, "workspaceFolders": True},
            "textDocument": {"hover": {"contentFormat": ["markdown"]}},
        }
        await speaking.ask(
            "initialize",
            {
                "processId": None,
                "rootUri": folder.as_uri(),
                "workspaceFolders": folders,
                "capabilities": capabilities,
            },
        )
        await speaking.tell("initialized", {})
        yield speaking
        await speaking.ask("shutdown", None)
        await speaking.tell("exit", None)
        async with asyncio.timeout(LIMIT):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
