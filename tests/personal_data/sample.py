"""A server that keeps something of each owner wherever there is a place for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from chatkit.files import FileMetadata
from chatkit.hosted import Session
from chatkit.hosted.models import Configuration, Workflow
from chatkit.limits import Limits
from chatkit.quotas import Quota
from chatkit.server import ChatKitServer, record_usage
from chatkit.store import OwnerContext
from chatkit.streams.records import KeyClaim
from chatkit.usage import Usage
from tests.files.page import PNG
from tests.server.support import LIMIT, answer, drain, read, user_input

ADA = "acme/ada-lovelace/wf-support"
"""An owner as hosted ChatKit names them: tenant, user, workflow."""
BOB = "acme/bob-builder/wf-support"
QUOTAS = (Quota("messages", 1000), Quota("tokens", 10**6, seconds=3600), Quota("running_turns", 20))


def word(owner: str) -> str:
    """Returns the word that is in every text of an owner's."""
    return f"zebra-{owner.split('/')[1]}"


class BusyServer(ChatKitServer[Any]):
    """Answers with the owner's word, and goes on until ``gate`` is set where the message says "wait"."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, limits=Limits(quotas=QUOTAS, unbounded_calls=True), **options)
        self.gate = asyncio.Event()

    async def respond(self, thread: Any, input_user_message: Any, context: Any) -> AsyncIterator[Any]:
        said = word(context["user_id"])
        thread.title = f"Title of {said}"
        yield f"Answer for {said}. "
        await record_usage(Usage("m", input_tokens=7, output_tokens=3))
        if "wait" in input_user_message.content[0].text:
            await self.gate.wait()
        yield "Done."

    def dump_context(self, context: Any) -> Any:
        return {"user_id": context["user_id"], "said": word(context["user_id"])}

    async def send(self, owner: str, kind: str, metadata: Any = None, **params: Any) -> Any:
        body = {"type": kind, "params": params} | ({} if metadata is None else {"metadata": metadata})
        return await self.process(json.dumps(body), {"user_id": owner})

    async def chat(self, owner: str, number: int, thread_id: str | None = None, **rest: Any) -> Any:
        """Sends a message that is answered at once, in a new thread or in one that is there."""
        said = user_input(f"Message {number} of {word(owner)}", **rest)
        metadata = {"resumable": True, "idempotency_key": f"key-{word(owner)}-{number}"}
        kind = "threads.create" if thread_id is None else "threads.add_user_message"
        params = {"input": said} | ({} if thread_id is None else {"thread_id": thread_id})
        result = await self.send(owner, kind, metadata, **params)
        await drain(result)
        return result

    async def begin(self, owner: str, thread_id: str, text: str = "wait") -> Any:
        """Begins a turn that goes on; returns the stream."""
        said = user_input(f"{text} {word(owner)}")
        result = await self.send(
            owner, "threads.add_user_message", {"resumable": True}, thread_id=thread_id, input=said
        )
        await read(result.json_events, 3)
        return result


async def attach(server: BusyServer, owner: str, name: str, content: bytes, mime: str = "text/plain") -> str:
    """Has a file uploaded, without a link; returns the attachment's id."""
    params = {"name": name, "size": len(content), "mime_type": mime}
    made = json.loads((await server.send(owner, "attachments.create", **params)).json)
    files: Any = server.attachment_store
    metadata = FileMetadata(content_type=mime, name=name, size=len(content))
    await files.upload(made["id"], content, metadata)
    return str(made["id"])


async def fill(server: BusyServer, owner: str, sessions: Any = None) -> list[str]:
    """Keeps something of an owner in every place; returns the ids of the threads."""
    files = [
        await attach(server, owner, f"{word(owner)}.txt", f"File of {word(owner)}".encode()),
        await attach(server, owner, f"{word(owner)}.png", PNG, "image/png"),
    ]
    first = await server.chat(owner, 1, attachments=files)
    second = await server.chat(owner, 2)
    await server.chat(owner, 3, second.thread_id)
    # One that no message names.
    await attach(server, owner, f"unused {word(owner)}.txt", word(owner).encode())
    log: Any = server._chatkit_turns().log
    await log.claim_key(owner, f"log-key-{word(owner)}", KeyClaim("turn_x", first.thread_id, "", fresh=True))
    if sessions is not None:
        tenant, user, workflow = owner.split("/")
        session = Session(
            id=f"cksess_{user.replace('-', '')}",
            tenant=tenant,
            user=user,
            workflow=Workflow(id=workflow),
            configuration=Configuration(),
            requests_per_minute=10,
            created_at=1_700_000_000,
            expires_at=4_000_000_000,
        )
        await sessions.add(session)
        await server.counter.take(f"session:{session.id}:requests", 1, window=3600.0)
    return [first.thread_id, second.thread_id]


async def threads_of(store: Any, owner: str) -> list[Any]:
    return (await store.load_threads(100, None, "asc", OwnerContext(owner))).data


__all__ = ["ADA", "BOB", "LIMIT", "BusyServer", "answer", "attach", "fill", "threads_of", "word"]
