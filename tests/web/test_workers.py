from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.web.workers import detect_workers


@pytest.mark.parametrize(
    ("command", "environment", "workers"),
    [
        ("uvicorn app:app", {}, 1),
        ("uvicorn app:app --workers 4", {}, 4),
        ("/usr/bin/uvicorn app:app --workers=3", {}, 3),
        ("/venv/lib/uvicorn/__main__.py app:app --workers 2", {}, 2),
        ("uvicorn app:app --workers 1", {"WEB_CONCURRENCY": "4"}, 1),
        ("uvicorn app:app", {"WEB_CONCURRENCY": "4"}, 4),
        ("uvicorn app:app --workers 2 --workers 5", {}, 5),
        ("uvicorn app:app -w 4", {}, 1),
        ("gunicorn -w 4 app:app", {}, 4),
        ("gunicorn -w4 app:app", {}, 4),
        ("gunicorn -w=4 app:app", {}, 4),
        ("gunicorn app:app", {"GUNICORN_CMD_ARGS": "--workers=6 --threads 2"}, 6),
        ("gunicorn -w 2 app:app", {"GUNICORN_CMD_ARGS": "--workers=6"}, 2),
        ("gunicorn app:app", {"GUNICORN_CMD_ARGS": "'unclosed"}, 1),
        ("uvicorn app:app", {"GUNICORN_CMD_ARGS": "--workers=6"}, 1),
        ("hypercorn --workers 3 app:app", {}, 3),
        ("fastapi run --workers 4 main.py", {}, 4),
        ("chatkit serve --workers 2", {}, 2),
        ("resize.py -w 640 --workers 8", {}, 1),
        ("main.py", {"WEB_CONCURRENCY": "2"}, 2),
        ("uvicorn app:app --workers", {}, 1),
        ("uvicorn app:app --workers many", {"WEB_CONCURRENCY": "also many"}, 1),
        ("uvicorn app:app --workers 0", {}, 1),
    ],
)
def test_the_command_line_counts_then_the_environment(
    command: str, environment: dict[str, str], workers: int
) -> None:
    assert detect_workers(command.split(), environment) == workers


def test_this_process_is_asked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["uvicorn", "app:app", "--workers", "7"])
    assert detect_workers() == 7
    monkeypatch.setattr("sys.argv", ["uvicorn", "app:app"])
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert detect_workers() == 3


@given(
    st.lists(
        st.sampled_from(["gunicorn", "uvicorn", "-w", "--workers", "--workers=", "-w=", "9", ""]) | st.text()
    ),
    st.text(),
)
def test_any_command_line_has_an_answer(argv: list[str], concurrency: str) -> None:
    found = detect_workers(argv, {"WEB_CONCURRENCY": concurrency, "GUNICORN_CMD_ARGS": concurrency})
    assert 1 <= found < 1_000_000
