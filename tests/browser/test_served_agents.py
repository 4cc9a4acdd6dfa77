"""``chatkit serve file:agent`` for each kind of agent, with the files that users write, as a user sees it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.served_models import COUNTED, FAR, TITLE
from tests.cli.processes import serving
from tests.dropin.environments import Environment, build_wheel
from tests.support.scale import scaled

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "agents_sdk": '''
from agents import Agent, function_tool
from tests.browser.served_models import sdk_model

@function_tool
def look_up(word: str) -> str:
    """Looks a word up."""
    return f"{word} is a leaf"

agent = Agent(name="Guide", model=sdk_model(), tools=[look_up])
''',
    "pydantic_agent": '''
from pydantic_ai import Agent
from tests.browser.served_models import pydantic_ai_model

agent = Agent(pydantic_ai_model())

@agent.tool_plain
def look_up(word: str) -> str:
    """Looks a word up."""
    return f"{word} is a leaf"
''',
    "graph": '''
from langchain.agents import create_agent
from tests.browser.served_models import langchain_model

def look_up(word: str) -> str:
    """Looks a word up."""
    return f"{word} is a leaf"

agent = create_agent(langchain_model(), [look_up])
''',
    "function": """
from tests.browser.served_models import words

async def agent(text):
    async for word in words(text.replace("look up tea", "tea is a leaf")):
        yield word
""",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A new environment with this checkout's wheel where ``CHATKIT_TEST_WHEEL`` is set, else that of the tests."""
    if not os.environ.get("CHATKIT_TEST_WHEEL"):
        return None
    folder = tmp_path_factory.mktemp("installed")
    environment = Environment(folder / "environment")
    wheel = build_wheel(folder).as_uri()
    environment.install(f"chatkit-server[serve,agents,pydantic-ai,langgraph] @ {wheel}", "langchain")
    return environment.python.with_name("chatkit")


@pytest.mark.parametrize("kind", FILES)
def test_an_agent_is_served_as_it_is(
    kind: str, installed: Path | None, open_page: OpenPage, tmp_path: Path
) -> None:
    assert len(FILES[kind].strip().splitlines()) <= 10
    (tmp_path / f"{kind}.py").write_text(FILES[kind])
    (tmp_path / "home").mkdir()
    variables = {"PYTHONPATH": str(ROOT), "OPENAI_AGENTS_DISABLE_TRACING": "1", "HOME": f"{tmp_path}/home"}
    with serving(f"{kind}:agent", "--port", "0", folder=tmp_path, program=installed, **variables) as server:
        parts = urlsplit(server.url)
        chat = open_page(f"{parts.scheme}://{parts.netloc}/")
        chat.send("look up tea")
        expect(chat.answers.last).to_contain_text("I know that tea is a leaf", timeout=scaled(20_000))
        chat.until_idle()
        steps = chat.element.locator("ck-workflow")
        expect(steps).to_have_count(0 if kind == "function" else 1)
        title = TITLE if kind in {"agents_sdk", "pydantic_agent"} else "look up tea"
        expect(chat.sidebar.get_by_text(title, exact=True)).to_be_visible(timeout=scaled(20_000))

        chat.send("count")
        expect(chat.answers).to_have_count(2)
        expect(chat.answers.last).to_contain_text(re.compile(r"\b5\b"))
        chat.page.reload()
        expect(chat.answers.last).to_contain_text(str(COUNTED - 1), timeout=scaled(30_000))
        # The reload broke its request off.
        chat.errors.clear()
        chat.until_idle()

        chat.send("count far")
        expect(chat.answers).to_have_count(3)
        expect(chat.answers.last).to_contain_text(re.compile(r"\b5\b"))
        chat.stop_button.click()
        chat.until_idle()
        expect(chat.answers.last).not_to_contain_text(str(FAR - 1))

        note = {"name": "note.txt", "mimeType": "text/plain", "buffer": b"hello file"}
        chat.element.locator("input[type=file]").set_input_files(note)
        expect(chat.element.locator(".upload.ready")).to_have_count(1)
        chat.send("What is in it?")
        expect(chat.answers.last).to_contain_text("The note says: hello file", timeout=scaled(20_000))
        # Before the server ends.
        chat.page.goto("about:blank")
