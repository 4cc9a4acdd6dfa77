"""Every code block of the README and the docs is run, parsed or compared with what the code says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scale import scaled
from tests.support.warm import WarmProcess

ROOT = Path(__file__).parents[2]
FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "RELEASE.md", "SECURITY.md")]
PAGES = [*FRONT, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "how-to").glob("*.md"))]
LINKING = [*PAGES, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (f"{page.relative_to(ROOT)}:{page.read_text()[: match.start()].count(chr(10)) + 1}", match.group(2))
        for page in PAGES
        for match in BLOCK.finditer(page.read_text())
        if match.group(1) == language
    ]


def test_languages_are_all_known() -> None:
    languages = {match.group(1) for page in PAGES for match in BLOCK.finditer(page.read_text())}
    # Pages, components and styles are tested with the browser: tests/browser/test_{stock,page}_docs.py. A project of uv
    # is installed: tests/adapters.
    assert languages <= {"python", "bash", "json", "text", "html", "tsx", "css", "toml"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    programs = [match.group(2) for match in BLOCK.finditer(page.read_text()) if match.group(1) == "python"]
    for number, program in enumerate(programs):
        name = re.match(r"# (\w+\.py)\n", program)
        (tmp_path / (name.group(1) if name else f"block_{number}.py")).write_text(program)
    for program in sorted(tmp_path.glob("*.py")):
        with WarmProcess(
            "tests.support.strict", program.name, folder=tmp_path, environment=os.environ
        ) as process:
            _, errors = process.communicate(timeout=scaled(60))
        assert process.returncode == 0, errors


@pytest.mark.parametrize(("place", "text"), blocks("json"), ids=lambda value: value[:40])
def test_json_blocks_are_requests(place: str, text: str) -> None:
    from chatkit.server.parsing import parse_request

    request = parse_request(text)
    assert request.type == json.loads(text)["type"], place


@pytest.mark.parametrize(("place", "text"), blocks("bash"), ids=lambda value: value[:40])
def test_commands_exist(place: str, text: str) -> None:
    for line in text.splitlines():
        command = ROOT / shlex.split(line)[0]
        assert command.is_file(), place
        assert command.stat().st_mode & 0o111, place


HANDLER = re.compile(r"def (?:respond|action|sync_action)\(\s*(self,.*?)\)(?: ->|:)", re.DOTALL)


def test_the_parameters_of_handlers_are_annotated() -> None:
    for page in [*PAGES, *(ROOT / "examples").rglob("*.py"), *(ROOT / "src").rglob("*.py")]:
        for signature in HANDLER.findall(page.read_text()):
            parameters = [each.strip() for each in re.split(r",(?![^\[]*\])", signature)]
            bare = [each for each in parameters if ":" not in each and each not in {"self", "", "/", "*"}]
            assert bare == [], page


def test_links_lead_somewhere() -> None:
    for page in LINKING:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_servers_of_the_readme_answer(tmp_path: Path) -> None:
    programs = {
        match.group(1): match.group(0)
        for match in re.finditer(
            r"# (\w+\.py)\n.*?(?=^```$)", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
        )
    }
    for name, program in programs.items():
        (tmp_path / name).write_text(program)
    (tmp_path / "ask.py").write_text(
        "import json\n"
        "from starlette.testclient import TestClient\n"
        "from app import app\n"
        "body = {'type': 'threads.create', 'params': {'input': {'content': [{'type': 'input_text', 'text': 'hi'}]}}}\n"
        "with TestClient(app) as client:\n"
        "    assert client.post('/chatkit', json=body).status_code == 401\n"
        "    page = client.get('/sign-in')\n"
        "    assert page.status_code == 200 and page.headers['content-type'].startswith('text/html'), page.text\n"
        "    assert 'openai-chatkit' in page.text or '/chatkit' in page.text\n"
        "    assert client.get('/chatkit.js').status_code == 200\n"
        "    assert 'You said: hi' in client.post('/chatkit', json=body).text\n"
        "    answer = client.post('/chatkit', json=body, headers={'Authorization': 'Bearer secret-token'})\n"
        "    assert answer.status_code == 200, answer.text\n"
        "    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith('data: ')]\n"
        "    assert events[-1]['type'] == 'thread.item.done' or events[-2]['type'] == 'thread.item.done', events\n"
        "    assert 'You said: hi' in answer.text\n"
        "    widget = [event['item'] for event in events if event.get('item', {}).get('type') == 'widget'][-1]\n"
        "    click = {'thread_id': widget['thread_id'], 'item_id': widget['id'],\n"
        "             'action': widget['widget']['children'][0]['onClickAction']}\n"
        "    body = {'type': 'threads.custom_action', 'params': click}\n"
        "    answer = client.post('/chatkit', json=body, headers={'Authorization': 'Bearer secret-token'})\n"
        "    assert 'Ordered: hi' in answer.text, answer.text\n"
        "from chatkit import MemoryStore, create_app\n"
        "from chatkit.web import single_user\n"
        "from hello import Hello\n"
        "body = {'type': 'threads.create', 'params': {'input': {'content': [{'type': 'input_text', 'text': 'hi'}]}}}\n"
        "with TestClient(create_app(Hello(MemoryStore()), context=single_user(), ui=True)) as client:\n"
        "    assert client.get('/').headers['content-type'].startswith('text/html')\n"
        "    answer = client.post('/chatkit', json=body).text\n"
        "    assert 'Hello! You said: hi' in answer and '\"title\":\"hi\"' in answer, answer\n"
    )
    done = subprocess.run(
        [sys.executable, "ask.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    assert done.returncode == 0, done.stderr
