"""Every limit of time in the tests scales with ``CHATKIT_TEST_SLOWNESS``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
# They run where these tests cannot be imported.
ELSEWHERE = {"agents/recorded/application.py", "server/recorded/play.py"}
# A shorter one is no limit: it is what the test is about.
SECONDS = 1.0


def limits(tree: ast.AST) -> Iterator[ast.expr]:
    """Yields what is given as a limit to ``asyncio.timeout`` and ``asyncio.wait_for``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.timeout":
            yield from node.args
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.wait_for":
            yield from node.args[1:]
            yield from (keyword.value for keyword in node.keywords)


def test_limits_of_time_scale() -> None:
    paths = [
        path
        for path in sorted(TESTS.rglob("*.py"))
        if "node_modules" not in path.parts and path.relative_to(TESTS).as_posix() not in ELSEWHERE
    ]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    fixed = [
        f"{path.relative_to(TESTS)}:{limit.lineno}"
        for path, text in texts.items()
        # To parse a text takes long, and most have no limit.
        if "asyncio.timeout" in text or "asyncio.wait_for" in text
        for limit in limits(ast.parse(text))
        if isinstance(limit, ast.Constant) and float(str(limit.value)) >= SECONDS
    ]
    assert fixed == [], "take tests.support.scale.scaled"
