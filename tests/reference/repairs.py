"""What each block of the reference needs besides itself, and why: nothing here repairs our own part of it.

A block becomes a module: ``before``, the block with its changes, indented into a class where it shows a method.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from tests.reference.document import Block

PACKAGE = "reference_blocks"


@dataclass(frozen=True)
class Change:
    """Text that is exchanged.

    Attributes:
        old: As the document has it.
        new: What stands there instead.
        reason: Why.
        times: How often it occurs.
    """

    old: str
    new: str
    reason: str
    times: int = 1


@dataclass(frozen=True)
class Repair:
    """How a block becomes a module.

    Attributes:
        before: Put in front of it.
        reason: Why something is put in front; empty if nothing is.
        changes: Exchanges within the block.
        inside: The class that the method which the block shows is put into.
    """

    before: str = ""
    reason: str = ""
    changes: tuple[Change, ...] = ()
    inside: str = ""

    def module(self, block: Block) -> str:
        """Returns the module's text."""
        code = block.code
        for change in self.changes:
            if code.count(change.old) != change.times:
                raise ValueError(f"{change.old!r} occurs {code.count(change.old)} times in {block.title}")
            code = code.replace(change.old, change.new)
        before = textwrap.dedent(self.before).lstrip("\n")
        if not self.inside:
            return before + code
        imports, method, body = code.partition("async def ")
        return before + imports + f"class {self.inside}:\n" + textwrap.indent(method + body, "    ")


def module_name(title: str) -> str:
    """Returns the name of a block's module."""
    return re.sub(r"\W+", "_", title).strip("_").lower()


_PLACEHOLDER = "an ellipsis stands for the application's own value"
_IMPORTS = "the block uses names that it does not import"

_REDEFINED = "the block defines the class that it imports, which runs but is an error to a type checker"

_REMAINING_METHODS = """
    async def load_threads(self, limit: int = 50) -> list[ThreadMetadata]:
        async with closing(await self._get_db()) as db:
            async with db.execute("SELECT id FROM threads ORDER BY rowid DESC LIMIT ?", (limit,)) as cursor:
                ids = [row[0] for row in await cursor.fetchall()]
        found = [await self.load_thread(thread_id) for thread_id in ids]
        return [thread for thread in found if thread is not None]

    async def load_thread_items(self, thread_id: str) -> list[ThreadItem]:
        async with closing(await self._get_db()) as db:
            async with db.execute(
                "SELECT content FROM thread_items WHERE thread_id = ? ORDER BY rowid", (thread_id,)
            ) as cursor:
                return [items.validate_json(row[0]) for row in await cursor.fetchall()]

    async def add_thread_item(self, thread_id: str, item: ThreadItem) -> None:
        async with closing(await self._get_db()) as db:
            await db.execute(
                "INSERT INTO thread_items (id, thread_id, type, content, created_at) VALUES (?, ?, ?, ?, ?)",
                (item.id, thread_id, item.type, json.dumps(item.model_dump(mode="json")), str(item.created_at)),
            )
            await db.commit()

    async def save_item(self, thread_id: str, item: ThreadItem) -> None:
        async with closing(await self._get_db()) as db:
            await db.execute(
                "UPDATE thread_items SET type = ?, content = ? WHERE thread_id = ? AND id = ?",
                (item.type, json.dumps(item.model_dump(mode="json")), thread_id, item.id),
            )
            await db.commit()

    async def load_item(self, thread_id: str, item_id: str) -> Optional[ThreadItem]:
        for item in await self.load_thread_items(thread_id):
            if item.id == item_id:
                return item
        return None

    async def delete_thread(self, thread_id: str) -> None:
        async with closing(await self._get_db()) as db:
            await db.execute("DELETE FROM thread_items WHERE thread_id = ?", (thread_id,))
            await db.execute("DELETE FROM threads WHERE id = ?", (thread_id,))
            await db.commit()

    async def delete_thread_item(self, thread_id: str, item_id: str) -> None:
        async with closing(await self._get_db()) as db:
            await db.execute("DELETE FROM thread_items WHERE thread_id = ? AND id = ?", (thread_id, item_id))
            await db.commit()

    async def generate_id(self, prefix: str) -> str:
        return f"{prefix}_{uuid.uuid4().hex[:12]}"
"""

REPAIRS: dict[str, Repair] = {
    "Constructor": Repair(),
    "respond()": Repair(
        before="""
            import asyncio
            import threading
            from collections.abc import AsyncIterator
            from typing import Any

            from chatkit.ids import new_id
            from chatkit.server import ChatKitServer
            from chatkit.types import (
                AssistantMessageItem,
                TextContent,
                ThreadItemAddedEvent,
                ThreadItemDoneEvent,
                ThreadMetadata,
                ThreadStreamEvent,
                UserMessageItem,
            )

            gate = threading.Event()
            gate.set()

            """,
        reason=f"{_IMPORTS}; it shows a method, which belongs into a class; the gate lets a test see it stream",
        inside="Responding(ChatKitServer)",
        changes=(
            Change(
                "# Your implementation",
                'answer_id = new_id("message")\n'
                "    said = input.content[0].text if input else 'nothing'\n"
                "    await asyncio.to_thread(gate.wait, 30)",
                "the comment stands for the application's own work",
            ),
            Change(
                "ThreadItemAddedEvent(item=...)",
                "ThreadItemAddedEvent(\n"
                "        item=AssistantMessageItem(\n"
                '            id=answer_id, content=[TextContent(type="text", text=f"You said {said}")]\n'
                "        )\n"
                "    )",
                _PLACEHOLDER,
            ),
            Change("ThreadItemDoneEvent(id=...)", "ThreadItemDoneEvent(id=answer_id)", _PLACEHOLDER),
        ),
    ),
    "action()": Repair(
        before=f"""
            from collections.abc import AsyncIterator
            from typing import Any

            from chatkit.ids import new_id
            from chatkit.types import (
                AssistantMessageItem,
                TextContent,
                ThreadItemAddedEvent,
                ThreadMetadata,
                ThreadStreamEvent,
            )
            from {PACKAGE}.respond import Responding

            """,
        reason=f"{_IMPORTS}; it shows a method, which belongs into a class",
        inside="Acting(Responding)",
        changes=(
            Change(
                "ThreadItemAddedEvent(...)",
                "ThreadItemAddedEvent(\n"
                "            item=AssistantMessageItem(\n"
                '                id=new_id("message"), content=[TextContent(type="text", text=f"You chose {option}")]\n'
                "            )\n"
                "        )",
                _PLACEHOLDER,
            ),
        ),
    ),
    "Store Interface": Repair(
        changes=(
            Change(
                "from chatkit.types import Store, ThreadMetadata, ThreadItem",
                "from chatkit.types import ThreadMetadata, ThreadItem",
                _REDEFINED,
            ),
        )
    ),
    "SQLite Store Example": Repair(
        before="""
            import uuid
            from collections.abc import AsyncIterator
            from contextlib import asynccontextmanager
            from typing import Optional

            from pydantic import TypeAdapter

            """,
        reason=f"{_IMPORTS} (Optional), and so do the methods that are added",
        changes=(
            Change(
                "class SQLiteStore(Store):\n",
                "items: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)\n\n\n"
                "@asynccontextmanager\n"
                "async def closing(db: aiosqlite.Connection) -> AsyncIterator[aiosqlite.Connection]:\n"
                "    try:\n"
                "        yield db\n"
                "    finally:\n"
                "        await db.close()\n\n\n"
                "class SQLiteStore(Store):\n",
                "what the two changes below need",
            ),
            Change(
                "async with await self._get_db() as db:",
                "async with closing(await self._get_db()) as db:",
                "aiosqlite starts a connection's thread when it is awaited and again in `async with`, which fails",
                times=2,
            ),
            Change(
                "    # ... implement remaining methods\n",
                _REMAINING_METHODS.removeprefix("\n"),
                "the comment stands for the methods that are left to the reader",
            ),
        ),
    ),
    "PostgreSQL Store Example": Repair(
        before="from typing import Optional\n\n", reason=f"{_IMPORTS} (Optional)"
    ),
    "FileStore Interface": Repair(
        changes=(
            Change(
                "from chatkit.types import FileStore, FileMetadata",
                "from chatkit.types import FileMetadata",
                _REDEFINED,
            ),
        )
    ),
    "S3 FileStore Example": Repair(
        before="from chatkit.types import FileMetadata, FileStore\n\n",
        reason=f"{_IMPORTS} (FileStore, FileMetadata)",
    ),
    "ThreadItemAddedEvent": Repair(),
    "ThreadItemUpdatedEvent": Repair(),
    "ThreadItemDoneEvent": Repair(),
    "ThreadItemRemovedEvent": Repair(),
    "ThreadItemReplacedEvent": Repair(
        before="""
            from chatkit.types import AssistantMessageItem, TextContent

            new_item = AssistantMessageItem(id="msg_123", content=[TextContent(type="text", text="Goodbye!")])

            """,
        reason="the block leaves new_item undefined",
    ),
    "ProgressUpdateEvent": Repair(),
    "ErrorEvent": Repair(),
    "ClientEffectEvent": Repair(),
    "StreamOptionsEvent": Repair(),
    "Complete Server Setup": Repair(
        before=f"""
            from {PACKAGE} import constructor
            from {PACKAGE}.action import Acting
            from {PACKAGE}.sqlite_store_example import SQLiteStore as MyStore


            class MyChatKitServer(Acting, constructor.MyChatKitServer):
                pass


            """,
        reason="the block leaves MyChatKitServer and MyStore undefined: those of the blocks above",
    ),
    "With Authentication": Repair(
        before=f"""
            from dataclasses import dataclass

            from fastapi import FastAPI, Request
            from fastapi.responses import Response, StreamingResponse

            from chatkit.server import StreamingResult
            from chatkit.store import MemoryStore
            from {PACKAGE}.action import Acting


            @dataclass
            class User:
                id: str
                email: str


            async def verify_jwt(token: str) -> User | None:
                name = token.removeprefix("token-of-")
                return None if name == token else User(name, f"{{name}}@example.com")


            app = FastAPI()
            server = Acting(store=MemoryStore())

            """,
        reason=f"{_IMPORTS}; it leaves app, server and verify_jwt undefined",
        changes=(
            Change(
                "    # ...\n",
                "    if isinstance(result, StreamingResult):\n"
                '        return StreamingResponse(result, media_type="text/event-stream")\n'
                '    return Response(content=result.json, media_type="application/json")\n',
                "the comment stands for the same ending as in the block before",
            ),
        ),
    ),
    "Error Handling": Repair(
        before="""
            import logging

            from pydantic import ValidationError

            from chatkit.server import ChatKitServer
            from chatkit.types import ProgressUpdateEvent

            logger = logging.getLogger("application")
            agent_context = result = None
            trouble: Exception | None = None


            class RateLimitError(Exception):
                pass


            async def stream_agent_response(context, result):
                yield ProgressUpdateEvent(message="Thinking")
                if trouble is not None:
                    raise trouble


            """,
        reason=(
            f"{_IMPORTS}; it leaves the agent, its error and the logger undefined; "
            "it shows a method, which belongs into a class"
        ),
        inside="Careful(ChatKitServer)",
    ),
}

ELSEWHERE: dict[str, str] = {
    "Properties": "AgentContext",
    "Methods": "AgentContext",
    "simple_to_agent_input()": "helpers for the Agents SDK",
    "stream_agent_response()": "helpers for the Agents SDK",
    "ThreadItemConverter": "helpers for the Agents SDK",
    "ResponseStreamConverter": "helpers for the Agents SDK",
}
"""Blocks about the Agents SDK, which tests/agents/test_reference.py runs."""
