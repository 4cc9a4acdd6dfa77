"""``chatkit chat`` against a real server: piped, and on a terminal."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import Serving, piped, serving, terminal
from tests.support.scale import scaled

QUICK = """
from chatkit.demo import GuideServer

def make(store):
    return GuideServer(store, delay=0)
"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("quick")
    folder.joinpath("app.py").write_text(QUICK)
    with serving("app:make", "--port", "0", folder=folder) as server:
        yield server


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving("--port", "0", folder=tmp_path_factory.mktemp("slow")) as server:
        yield server


def test_lines_are_sent_and_answers_printed(quick: Serving) -> None:
    done = piped(quick.url, "help\n\nsomething else\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "No model answers here" in done.stdout
    assert "I cannot answer that" in done.stdout


def test_the_path_may_be_left_out(quick: Serving) -> None:
    assert piped(quick.url.removesuffix("/chatkit"), "help\n").returncode == 0
    assert piped(quick.url.removesuffix("/chatkit").removeprefix("http://"), "help\n").returncode == 0


def test_threads_are_searched_and_opened(quick: Serving) -> None:
    shown = piped(quick.url, "the zebra crossing\n/search zeb\n/open 1\n/search\n/search quagga\n").stdout
    assert "the [zebra] crossing" in shown
    assert shown.count("the zebra crossing") >= 1
    assert "Say /search and what to look for" in shown
    assert "Nothing was found for 'quagga'." in shown


def test_everything_that_the_guide_shows_is_shown(quick: Serving) -> None:
    shown = piped(quick.url, "progress\nworkflow\nnotice\neffect\nsources\nimage\n").stdout
    for expected in (
        "… Heating the water…",
        "  … Think",
        "  ✓ Search",
        "(Took 3 steps)",
        "[info] For your information: A notice is **not** part of the thread.",
        '(effect guide.celebrate {"message": "It works!"})',
        "  [1] HTML: Server-sent events, https://html.spec.whatwg.org/",
        "  [2] The handbook",
        "[image: image/png, ",
    ):
        assert expected in shown


def test_buttons_are_pressed_by_number(quick: Serving) -> None:
    shown = piped(quick.url, "widget\n/1\n/1\n/3\n/9\n").stdout
    assert re.findall(r"^  \| (\d cups?)$", shown, re.MULTILINE) == ["0 cups", "1 cup", "2 cups", "0 cups"]
    assert "  | /1 [One more]" in shown
    assert "There is no button /9." in shown


def test_an_error_is_retried(quick: Serving) -> None:
    shown = piped(quick.url, "/retry\nerror\n/retry\n").stdout
    assert "There is no message to try again." in shown
    assert "error: This failure was ordered. Retry, and it will work. (/retry tries again)" in shown
    assert "The second try went well" in shown


def test_tools_are_answered(quick: Serving) -> None:
    shown = piped(quick.url, "tool\n").stdout
    assert re.search(r'"local_time": "\d{4}-\d\d-\d\dT', shown)


def test_questions_are_asked_line_by_line(quick: Serving) -> None:
    shown = piped(quick.url, "questions\nLemonade\n1, water\nhabit\n").stdout
    assert "    2. Coffee" in shown
    assert "That is none of the answers." in shown
    assert "- What do you drink in the morning? Tea, Water" in shown
    assert "- Why? habit" in shown
    assert "- Why? *skipped*" in piped(quick.url, "questions\n2\n\n").stdout
    assert piped(quick.url, "questions\n2\n").returncode == 0


def test_locked_threads(quick: Serving) -> None:
    shown = piped(quick.url, "lock\nhello\n/1\nhelp\n").stdout
    assert "(the thread is locked: Locked by your own command." in shown
    assert "error: Locked by your own command." in shown
    assert "(the thread is active)" in shown
    assert "No model answers here" in shown


def test_threads_are_listed_opened_renamed_and_deleted(quick: Serving) -> None:
    first = piped(
        quick.url, "widget\n/rename Cups of tea\n/new\nnotice\n/threads\n/rename\n/nonsense\n"
    ).stdout
    assert "The thread is called 'Cups of tea' now." in first
    assert re.search(r"^\*  1  \S+ \S+  notice  \(", first, re.MULTILINE)
    assert re.search(r"^   2  \S+ \S+  Cups of tea  \(thr_", first, re.MULTILINE)
    assert "Say /rename and the new title" in first
    assert "There is no command /nonsense" in first
    second = piped(quick.url, "/open 2\n/1\n/delete\n/open 2\n/open 99\n/open\n/open thr_none\n").stdout
    assert "--- Cups of tea ---" in second
    assert "> widget" in second
    assert "  | 1 cup\n" in second
    assert "The thread is deleted." in second
    assert "There is no thread number 99" in second
    assert "error: The thread, item or attachment does not exist." in second
    assert "Cups of tea" not in piped(quick.url, "/threads\n").stdout


def test_control_characters_of_answers_do_not_reach_the_terminal(quick: Serving) -> None:
    shown = piped(quick.url, "help\n/rename a\x1b[31mb\x07\n/threads\n").stdout
    assert "a[31mb" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_a_server_that_goes_away(tmp_path: Path) -> None:
    with serving("--port", "0", folder=tmp_path) as server:
        url = server.url
        server.process.send_signal(signal.SIGINT)
        server.process.wait(scaled(10))
    done = piped(url, "help\n")
    assert done.returncode == 1
    assert done.stderr.startswith("chatkit chat: ")
    assert "cannot be reached" in done.stderr
    assert done.stderr.count("\n") == 1


def test_ctrl_c_stops_the_answer_and_the_chat_goes_on(slow: Serving) -> None:
    with terminal("chat", slow.url) as shell:
        shell.expect("you> ")
        shell.type("long 5000\n")
        shell.expect("Line 3 of 5000")
        shell.type("\x03")
        shell.expect("(stopped)")
        shell.expect("you> ")
        shell.type("notice\n")
        shell.expect("shown once and never stored.")
        shell.expect("you> ")
        assert shell.wait(pressing="\x03") == 0
    assert "(Ctrl-C again or Ctrl-D to leave)" in shell.shown
    assert "Traceback" not in shell.shown
    kept = piped(slow.url, "/open 1\n").stdout
    assert "Line 3 of 5000" in kept
    assert "Line 5000 of 5000" not in kept


def test_ctrl_d_leaves(slow: Serving) -> None:
    with terminal("chat", slow.url) as shell:
        shell.expect("you> ")
        shell.type("/help\n")
        shell.expect("press a widget's button")
        shell.expect("you> ")
        shell.type("\x04")
        assert shell.wait() == 0


def test_opening_a_thread_whose_answer_is_being_written_shows_it_live(slow: Serving) -> None:
    with terminal("chat", slow.url) as first, terminal("chat", slow.url) as second:
        for shell in (first, second):
            shell.expect("you> ")
        first.type("long 4000\n")
        first.expect("Line 2 of 4000")
        second.type("/open 1\n")
        second.expect("> long 4000")
        second.expect("Line 4 of 4000")
        second.type("\x03")
        second.expect("(stopped)")
        first.expect("(stopped)")
