"""What ``chatkit serve`` makes of what its target names, in this process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatkit.cli.options import CommandError
from chatkit.cli.target import load, resolve
from chatkit.store import MemoryStore
from tests.frameworks.support import create, text_of
from tests.support.scale import scaled

SERVED = {
    "sdk_agent": """
        from agents import Agent, set_tracing_disabled
        from chatkit.testing import ScriptedModel
        set_tracing_disabled(True)
        agent = Agent(name="Guide", model=ScriptedModel(["Hello."]))
    """,
    "pydantic_agent": """
        from pydantic_ai import Agent
        from pydantic_ai.models.test import TestModel
        agent = Agent(TestModel(custom_output_text="Hello."))
    """,
    "graph_agent": """
        from langchain_core.messages import AIMessage
        from langgraph.graph import START, MessagesState, StateGraph
        builder = StateGraph(MessagesState)
        builder.add_node("answer", lambda state: {"messages": [AIMessage("Hello.")]})
        builder.add_edge(START, "answer")
        agent = builder.compile()
    """,
    "function_agent": """
        async def agent(text):
            yield "Hello."
    """,
    "made_agent": """
        def agent():
            async def answer(text):
                yield "Hello."
            return answer
    """,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in {*SERVED, "several_names", "two_names", "no_names"}:
        sys.modules.pop(name, None)


def write(file: Path, text: str) -> None:
    lines = text.strip("\n").splitlines()
    margin = len(lines[0]) - len(lines[0].lstrip())
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(line[margin:] for line in lines) + "\n")


@pytest.mark.parametrize("kind", SERVED)
@pytest.mark.parametrize("spelling", ["{}:agent", "{}", "{}.py"])
async def test_agents_are_served_as_they_are(kind: str, spelling: str, folder: Path) -> None:
    write(folder / f"{kind}.py", SERVED[kind])
    name, store = spelling.format(kind), MemoryStore[Any]()
    target = resolve(load(name, "TARGET"), name, lambda: store)
    assert target.got_store
    assert target.server is not None
    assert target.server.store is store
    assert text_of(await create(target.server)) == "Hello."
    await target.server.close()


def test_what_is_looked_for_in_a_module(folder: Path) -> None:
    write(folder / "deep" / "several_names.py", "agent, app, server = 1, 2, 3")
    write(folder / "two_names.py", "agent, app = 1, 2")
    assert load("deep/several_names.py", "TARGET") == 3
    assert load("deep/several_names.py:agent", "TARGET") == 1
    assert load("two_names", "TARGET") == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_names", "has none of server, app, agent. Name what is to be served"),
        ("gone.py", "There is no file gone.py"),
        ("no_names:number", "a target is a ChatKitServer"),
        ("no_names:builder", "is not compiled"),
    ],
)
def test_what_cannot_be_served(name: str, message: str, folder: Path) -> None:
    write(
        folder / "no_names.py",
        """
        from langgraph.graph import MessagesState, StateGraph
        number = 1
        builder = StateGraph(MessagesState)
        """,
    )
    with pytest.raises(CommandError, match=message):
        resolve(load(name, "TARGET"), name, MemoryStore)


def test_no_framework_is_loaded_for_a_function(tmp_path: Path) -> None:
    write(tmp_path / "shop.py", SERVED["function_agent"])
    (tmp_path / "look.py").write_text(
        "import sys\n"
        "from chatkit.cli.target import load, resolve\n"
        "from chatkit.store import MemoryStore\n"
        "resolve(load('shop', 'TARGET'), 'shop', MemoryStore)\n"
        "print({'agents', 'langchain_core', 'openai', 'pydantic_ai'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "look.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr
