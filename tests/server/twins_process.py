"""A worker that a test kills while it answers two owners whose threads have the same id: run as a program.

``KIND PLACE LOG LEASE``, as for :func:`tests.server.twins.make_twins`; prints ``ready`` when both answers are begun.
"""

from __future__ import annotations

import asyncio
import sys

from tests.server.support import ADA, BOB, read
from tests.server.twins import make_twins, secret

RESUMABLE = {"resumable": True}


async def main() -> None:
    kind, place, log, lease = sys.argv[1:]
    server = make_twins(kind, place, log, float(lease))(rerun_on_crash=1)
    streams = []
    for context in (ADA, BOB):
        streams.append(await server.create("Hi", context, metadata=RESUMABLE))
        shown = b"".join(await read(streams[-1].json_events, 5))
        assert secret(context).encode() in shown
    for turn in server._chatkit_turns()._running.values():
        await turn.writer.flush()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(main())
