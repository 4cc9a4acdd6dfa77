"""What cases of dying workers have shown, each with the smallest case that shows it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chatkit.ids import new_id
from chatkit.store import Acceptance, TurnStatus, TurnWrites
from chatkit.store.acceptance import Policy
from chatkit.streams.base import TurnInfo
from chatkit.streams.records import dump_info
from chatkit.types import InferenceOptions, ThreadMetadata, UserMessageItem, UserMessageTextContent
from tests.server.dying_worker_process import Place
from tests.server.kill_points import Case, run_case
from tests.server.support import ADA, LIMIT, ScriptedServer, all_texts, writes_apart
from tests.support.scale import FAST

PUT, OPENED = "after store.put_thread_item", "after store.open_turn"
UNOPENED = "before store.open_turn"


@pytest.mark.skipif(FAST, reason="starts processes, which a fast run does not")
@pytest.mark.parametrize(
    "case",
    [
        # What another turn answered, which began before and has ended since, was taken for the dead worker's.
        pytest.param(
            Case("sqlite", "accepting", "elsewhere", "allow", 1, "at once", PUT), id="another answer stays"
        ),
        pytest.param(
            Case("sqlite", "apart", "elsewhere", "allow", 1, "at once", PUT), id="it stays, written apart"
        ),
        # A worker that was alone on its file had written nothing of its turn to the log.
        pytest.param(Case("sqlite", "accepting", "idle", "allow", 1, "at once", OPENED), id="run again"),
        pytest.param(
            Case("sqlite", "accepting", "new", "allow", 1, "later", OPENED), id="run again by a sweep"
        ),
        pytest.param(
            Case("sqlite", "accepting", "idle", "allow", 1, "twice", PUT), id="run again, taken back"
        ),
        # What waits behind a turn was taken for one that may have stored its items: both answers stayed.
        pytest.param(
            Case("sqlite", "accepting", "busy", "enqueue", 1, "at once", "in wait_unless"), id="waits behind"
        ),
        # So was one whose end it had waited for.
        pytest.param(Case("sqlite", "accepting", "busy", "enqueue", 1, "later", PUT), id="has waited"),
        # Another answer was taken for that of a message that was never stored, which was lost.
        pytest.param(
            Case("sqlite", "apart", "elsewhere", "enqueue", 1, "at once", "open store.begin_turn"),
            id="never stored",
        ),
        # An answer stood before one that began earlier, was stored later, and hid it.
        pytest.param(
            Case("sqlite", "accepting", "busy", "allow", 1, "at once", PUT), id="stored in another order"
        ),
        # A message that waited, and of whose turn nobody had heard, was ended as interrupted before those who had sent
        # it again.
        pytest.param(
            Case("sqlite", "accepting", "elsewhere", "enqueue", 0, "twice", UNOPENED), id="never opened"
        ),
        pytest.param(
            Case("sqlite", "accepting", "elsewhere", "enqueue", 0, "later", UNOPENED), id="put in its place"
        ),
        # Two that gave up waiting for the dead worker took the message both.
        pytest.param(
            Case("sqlite", "apart", "elsewhere", "interrupt", 0, "twice", "before log.turns"), id="given up"
        ),
    ],
)
async def test_nothing_is_wrong_any_more_with(tmp_path: Path, case: Case) -> None:
    place = Place("sqlite", str(tmp_path / "chat.db"), "", "", new_id("owner"))
    assert await run_case(case, place) == []


async def test_turns_accepted_before_a_store_writes_one_by_one_are_ended(store: Any) -> None:
    thread = ThreadMetadata(id="thr_1")
    await store.save_thread(thread, ADA)

    async def accept(text: str, policy: Policy) -> str:
        content = [UserMessageTextContent(type="input_text", text=text)]
        item = UserMessageItem(
            id=f"msg_{text}",
            thread_id=thread.id,
            content=content,
            attachments=[],
            inference_options=InferenceOptions(),
        )
        info = TurnInfo(new_id("turn"), thread.id, "ada", resumable=True, user_item_id=item.id)
        writes = TurnWrites(message=item)
        acceptance = Acceptance(
            info.id, thread.id, 0.0, writes, user_item_id=item.id, policy=policy, info=dump_info(info)
        )
        await store.accept_turn(acceptance, ADA)
        return info.id

    # By workers that died at once; the class of the store is another one from here on.
    turns = [await accept("first", "allow"), await accept("second", "enqueue")]
    server = ScriptedServer(store=writes_apart(store))
    async with asyncio.timeout(LIMIT):
        while {(await store.find_turn(turn, ADA)).status for turn in turns} != {TurnStatus.ENDED}:
            await server.recover()
            await asyncio.sleep(0.01)
    assert [(await store.find_turn(turn, ADA)).end for turn in turns] == ["interrupted", "interrupted"]
    assert all_texts(await server.items(thread.id, ADA)) == ["first", "second"]
    await server.shutdown()
