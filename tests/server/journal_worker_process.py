"""A worker that kills itself at one point of the journal of a turn: run in a process of its own.

A turn has six steps, by ``journal.step`` (flow ``"steps"``) or as models and tools of an agent (flow ``"agent"``). What
they do to the world is a line in a file, the ledger, which outlives the worker.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from agents import Agent, RunConfig, function_tool

from chatkit.agents import AgentServer
from chatkit.ids import new_id
from chatkit.server import journal
from chatkit.store import PostgresStore, SQLiteStore
from chatkit.streams import PostgresStreamLog, RedisStreamLog, SQLiteStreamLog
from chatkit.testing import ModelToolCall, ScriptedModel
from tests.server.dying_worker_process import LEASE, Place, Surviving
from tests.server.support import done, drain

STEPS = (
    ("model", "plan", "repeatable"),
    ("tool", "look", "repeatable"),
    ("tool", "pay", "once"),
    ("tool", "order", "keyed"),
    ("tool", "send", "once"),
    ("model", "say", "repeatable"),
)
TOOLS = ("look", "pay", "send")
EFFECTS = {name: effect for _, name, effect in STEPS}
ANSWER = "All done."
MOMENTS = ("before save", "after save", "before effect", "after effect", "before told", "after told")


class Orders(NamedTuple):
    """What a worker is to do.

    Attributes:
        place: Where.
        flow: ``"steps"`` or ``"agent"``.
        ledger: The file with what was done.
        point: The number of the point at which it dies, from 1; 0 for a worker that does not.
    """

    place: Place
    flow: str
    ledger: str
    point: int


class Points:
    """Counts the points that a worker comes by, and kills it at one of them."""

    def __init__(self, point: int = 0, tell: Callable[[str, Any], None] = lambda word, value: None) -> None:
        self.point = point
        self.tell = tell
        self.seen: list[str] = []

    def reach(self, moment: str) -> None:
        self.seen.append(moment)
        if len(self.seen) == self.point:
            self.tell("died", moment)
            os.kill(os.getpid(), signal.SIGKILL)

    def over(self, store: Any) -> Any:
        """Watches what a store records."""
        save_steps = store.save_steps

        async def watched(fence: Any, steps: Any, context: Any) -> None:
            self.reach("before save")
            await save_steps(fence, steps, context)
            self.reach("after save")

        store.save_steps = watched
        return store


def make_server(orders: Orders, points: Points) -> Any:
    """Returns a worker's server."""
    place = orders.place
    store: Any
    log: Any
    if place.setup == "sqlite":
        store = SQLiteStore(place.database)
        log = SQLiteStreamLog(store.database, lease=LEASE)
    else:
        store = PostgresStore(place.database, max_connections=3)
        log = (
            PostgresStreamLog(store.database, lease=LEASE)
            if place.setup == "postgres"
            else RedisStreamLog(place.redis, prefix=place.prefix, lease=LEASE)
        )
    world = World(orders.ledger, points)
    store = points.over(store)
    if orders.flow == "steps":
        return Surviving(world.respond, store, stream_log=log, rerun_on_crash=1)
    return ToldServer(world, store, stream_log=log, rerun_on_crash=1)


class World:
    """What steps do."""

    def __init__(self, ledger: str, points: Points) -> None:
        self.points = points
        self._ledger = Path(ledger)

    def act(self, name: str, key: str = "") -> str:
        """Has the effect of a step."""
        self.points.reach("before effect")
        with self._ledger.open("a", encoding="utf-8") as file:
            file.write(f"{name} {key}\n")
        self.points.reach("after effect")
        return f"{name} done"

    async def respond(self, thread: Any, message: Any, context: Any) -> AsyncIterator[Any]:
        found: list[str] = []
        for kind, name, effect in STEPS:

            async def run(key: str = "", name: str = name) -> str:
                return self.act(name, key)

            found.append(await journal.step(kind, name, {"after": list(found)}, run, effect=effect))  # type: ignore[arg-type]
        assert found == [f"{name} done" for _, name, _ in STEPS]
        async for event in self.told(ANSWER):
            yield event

    async def told(self, text: str) -> AsyncIterator[Any]:
        self.points.reach("before told")
        yield done(text, new_id("message"))
        # Not before that was appended.
        self.points.reach("after told")

    def agent(self) -> Agent[Any]:
        """Returns an agent that takes such steps: what its model says depends on what it is given alone."""
        world = self

        def tool(name: str) -> Any:
            def call() -> str:
                key = journal.idempotency_key() or ""
                return world.act(name, key if EFFECTS[name] == "keyed" else "")

            call.__name__ = name
            return function_tool(call)

        class Model(ScriptedModel):
            def stream_response(self, *arguments: Any, **rest: Any) -> Any:
                world.act(f"model {_outputs(arguments[1])}")
                return super().stream_response(*arguments, **rest)

        def answer(request: Any) -> Any:
            number = _outputs(request.input)
            return ModelToolCall(TOOLS[number], call_id=f"call_{number}") if number < len(TOOLS) else ANSWER

        return Agent(name="Guide", model=Model([answer], repeat=True), tools=[tool(name) for name in TOOLS])


def _outputs(given: Any) -> int:
    return sum(entry.get("type") == "function_call_output" for entry in given)


class ToldServer(AgentServer[Any]):
    """Serves the agent: its ``answer()`` wraps that of the package, so it says that its turns go on."""

    def __init__(self, world: World, store: Any, **options: Any) -> None:
        config = RunConfig(tracing_disabled=True)
        effects = {name: EFFECTS[name] for name in TOOLS if EFFECTS[name] != "once"}
        super().__init__(
            world.agent(), store, titles=False, run_config=config, tool_effects=effects, **options
        )  # type: ignore[arg-type]
        self._world = world

    async def answer(self, turn: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        async for event in super().answer(turn):
            if event.type == "thread.item.done":
                self._world.points.reach("before told")
            yield event
            if event.type == "thread.item.done":
                self._world.points.reach("after told")


def work(orders: Orders, connection: Connection) -> None:
    """Runs the worker; what it tells, pairs of a word and a value, goes to the connection."""
    logging.disable()
    points = Points(orders.point, lambda word, value: connection.send((word, value)))
    with asyncio.Runner() as runner:
        runner.run(_live(orders, points))
    connection.send(("seen", points.seen))


async def _live(orders: Orders, points: Points) -> None:
    server = make_server(orders, points)
    body = '{"type":"threads.create","params":{"input":{"content":[{"type":"input_text","text":"Hi"}],'
    body += '"inference_options":{}}},"metadata":{"resumable":true}}'
    await drain(await server.process(body, {"user_id": orders.place.owner}))
    await server.close()
