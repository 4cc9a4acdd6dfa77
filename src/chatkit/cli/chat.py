"""``chatkit chat``: a conversation in the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from chatkit.cli.console import Console
from chatkit.cli.options import CommandError
from chatkit.cli.transcript import Transcript
from chatkit.client import ChatKitClient, TransportError, TurnStream
from chatkit.errors import ChatKitError
from chatkit.types import (
    ClientToolCallItem,
    StructuredInputAnswerSubmission,
    StructuredInputItem,
    StructuredInputMultipleChoice,
    UserMessageItem,
)

__all__ = ["chat"]

_DEFAULT_PATH: Final = "/chatkit"
_LISTED: Final = 20
_TOOL_ROUNDS: Final = 8
_HELP: Final = """\
/1, /2, ...      press a widget's button     /retry          ask for the last answer again
/new             start a new thread          /rename TITLE   give the thread a title
/threads         list the threads            /delete         delete the thread
/search WORDS    search titles and messages  /quit           leave
/open N          open one by number or id
Ctrl-C stops an answer."""


def chat(url: str, headers: Mapping[str, str], console: Console | None = None) -> int:
    """Runs a conversation until the input ends, and returns the exit code; a URL without a path means ``/chatkit``."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CommandError(f"{url!r} is not an http or https URL.")
    endpoint = parts._replace(path=_DEFAULT_PATH if parts.path in {"", "/"} else parts.path).geturl()
    with asyncio.Runner() as runner:
        client = ChatKitClient(endpoint, headers=headers)
        try:
            runner.run(client.list_threads(1))
            Chat(client, console or Console(), runner).run()
        finally:
            runner.run(client.aclose())
    return 0


class Chat:
    """A conversation: reads what the user types and carries it out.

    Reading is done between runs of the event loop, so that it needs no thread of its own.
    """

    def __init__(self, client: ChatKitClient, console: Console, runner: asyncio.Runner) -> None:
        self._client = client
        self._console = console
        self._runner = runner
        self._transcript = Transcript(console)
        self._thread_id: str | None = None
        self._message_id: str | None = None
        self._listed: list[str] = []
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: console.line(_HELP),
            "/threads": lambda _: self._list_threads(),
            "/search": self._search,
            "/open": self._open,
            "/new": lambda _: self._leave_thread("A new thread begins with your next message."),
            "/retry": lambda _: self._retry(),
            "/rename": self._rename,
            "/delete": lambda _: self._delete(),
        }

    def run(self) -> None:
        """Reads and carries out lines until the input ends or the user leaves."""
        console = self._console
        if console.interactive:
            console.aside(f"Connected to {self._client.url}. /help lists the commands, Ctrl-D leaves.")
        interrupted = False
        while True:
            try:
                line = console.ask("you> ")
            except KeyboardInterrupt:
                if interrupted:
                    console.line("")
                    return
                interrupted = True
                console.line("")
                console.aside("(Ctrl-C again or Ctrl-D to leave)")
                continue
            interrupted = False
            if line is None or line.strip() == "/quit":
                return
            if line.strip():
                self._obey(line.strip())

    def _obey(self, line: str) -> None:
        try:
            if line.startswith("/"):
                name, _, argument = line.partition(" ")
                if name[1:].isdecimal():
                    self._press(int(name[1:]))
                elif name in self._commands:
                    self._commands[name](argument.strip())
                else:
                    self._console.aside(f"There is no command {name}; /help lists them.")
            elif self._thread_id is None:
                self._play(self._client.create_thread(line))
            else:
                self._play(self._client.send_message(self._thread_id, line))
        except TransportError as error:
            if not self._console.interactive:
                raise
            self._console.line(f"error: {error}")
        except ChatKitError as error:
            self._console.line(f"error: {error}")
        except KeyboardInterrupt:
            self._console.aside("(interrupted)")

    # Turns

    def _retry(self) -> None:
        if self._thread_id is None or self._message_id is None:
            self._console.aside("There is no message to try again.")
        else:
            self._play(self._client.retry(self._thread_id, self._message_id))

    def _press(self, number: int) -> None:
        action = self._transcript.actions.get(number)
        if action is None or self._thread_id is None:
            self._console.aside(f"There is no button /{number}.")
            return
        if action.streaming:
            self._play(
                self._client.action(self._thread_id, action.type, action.payload, item_id=action.item_id)
            )
            return
        answer = self._runner.run(
            self._client.sync_action(self._thread_id, action.type, action.payload, item_id=action.item_id)
        )
        if answer.updated_item is not None:
            self._transcript.show_item(answer.updated_item)

    def _play(self, stream: TurnStream) -> None:
        """Shows a turn, and those that follow from it: after a tool's output, after answers to questions."""
        for _ in range(_TOOL_ROUNDS):
            self._runner.run(self._watch(stream))
            following = self._follow_up(stream)
            if following is None:
                return
            stream = following

    def _follow_up(self, stream: TurnStream) -> TurnStream | None:
        items = stream.items
        if stream.status not in {None, "completed"} or self._thread_id is None or not items:
            return None
        for item in reversed(items):
            match item:
                case ClientToolCallItem(status="pending"):
                    return self._client.add_tool_output(self._thread_id, _tool_output(item))
                case StructuredInputItem(status="pending"):
                    answers = _ask_questions(self._console, item)
                    return (
                        self._client.answer_questions(self._thread_id, item.id, answers) if answers else None
                    )
                case _:
                    continue
        return None

    async def _watch(self, stream: TurnStream) -> None:
        """Shows a turn to its end; Ctrl-C stops it."""
        async with stream:
            showing = asyncio.create_task(self._show(stream))
            try:
                # Waiting so leaves the task alone when Ctrl-C cancels this one.
                await asyncio.wait({showing})
            except asyncio.CancelledError:
                current = asyncio.current_task()
                if current is None or current.uncancel() > 0:
                    raise
                await stream.stop()
                await asyncio.wait({showing})
            finally:
                showing.cancel()
            await showing
        self._console.end_line()
        if stream.status in {"stopped", "interrupted"}:
            self._console.aside(f"({stream.status})")

    async def _show(self, stream: TurnStream) -> None:
        async for event in stream:
            self._transcript.show(event)
            self._thread_id = stream.thread_id
            if event.type == "thread.item.done" and isinstance(event.item, UserMessageItem):
                self._message_id = event.item.id

    # Threads

    def _list_threads(self) -> None:
        page = self._runner.run(self._client.list_threads(_LISTED))
        self._listed = [thread.id for thread in page.data]
        for number, thread in enumerate(page.data, start=1):
            mark = "*" if thread.id == self._thread_id else " "
            when = _local(thread.created_at).strftime("%Y-%m-%d %H:%M")
            self._console.line(f"{mark}{number:>3}  {when}  {thread.title or 'Untitled'}  ({thread.id})")
        if not page.data:
            self._console.aside("There are no threads yet.")
        elif page.has_more:
            self._console.aside(f"(the newest {_LISTED}; there are more)")

    def _search(self, query: str) -> None:
        if not query:
            self._console.aside(
                "Say /search and what to look for; words in quotation marks must follow one another."
            )
            return
        page = self._runner.run(self._client.search_threads(query, _LISTED))
        self._listed = [found.thread.id for found in page.data]
        for number, found in enumerate(page.data, start=1):
            title = _emphasised(found.thread.title or "Untitled", found.title_ranges)
            self._console.line(f"{number:>4}  {title}  ({found.thread.id})")
            for item in found.items:
                self._console.line(f"        {_emphasised(item.text, item.ranges)}")
        if not page.data:
            self._console.aside(f"Nothing was found for {query!r}.")
        elif page.has_more:
            self._console.aside(f"(the best {_LISTED}; there are more)")
        if not page.complete:
            self._console.aside("(older messages are still being prepared for the search)")

    def _open(self, which: str) -> None:
        if which.isdecimal():
            if not self._listed:
                self._list_threads()
            if not 0 < int(which) <= len(self._listed):
                self._console.aside(f"There is no thread number {which}; /threads lists them.")
                return
            which = self._listed[int(which) - 1]
        if not which:
            self._console.aside("Which thread? Give its number in /threads or /search, or its id.")
            return
        self._runner.run(self._read_thread(which))

    async def _read_thread(self, thread_id: str) -> None:
        thread = await self._client.get_thread(thread_id)
        items = [item async for item in self._client.iterate_items(thread_id)]
        self._leave_thread(f"--- {thread.title or 'Untitled'} ---")
        self._thread_id = thread_id
        for item in items:
            self._transcript.show_item(item)
            if isinstance(item, UserMessageItem):
                self._message_id = item.id
        self._transcript.show_status(thread)
        if thread.active_turn is not None:
            await self._watch(self._client.resume(thread_id))

    def _rename(self, title: str) -> None:
        if self._thread_id is None or not title:
            self._console.aside("Say /rename and the new title, with a thread open.")
            return
        thread = self._runner.run(self._client.rename(self._thread_id, title))
        self._console.aside(f"The thread is called {thread.title!r} now.")

    def _delete(self) -> None:
        if self._thread_id is None:
            self._console.aside("There is no thread to delete.")
            return
        self._runner.run(self._client.delete_thread(self._thread_id))
        self._leave_thread("The thread is deleted.")

    def _leave_thread(self, message: str) -> None:
        self._thread_id = None
        self._message_id = None
        self._transcript.clear()
        self._console.aside(message)


def _emphasised(text: str, ranges: Sequence[tuple[int, int]]) -> str:
    """Returns a text with what was found in it between brackets."""
    parts, shown = list[str](), 0
    for start, end in ranges:
        parts += [text[shown:start], "[", text[start:end], "]"]
        shown = end
    return "".join([*parts, text[shown:]])


def _local(moment: datetime) -> datetime:
    try:
        return moment.astimezone()
    except OverflowError:
        # At the ends of the calendar.
        return moment


def _tool_output(call: ClientToolCallItem) -> Any:
    if call.name == "get_local_time":
        return {"local_time": datetime.now().astimezone().isoformat(timespec="seconds")}
    return {"error": f"The tool {call.name!r} is not available in the terminal."}


def _ask_questions(
    console: Console, item: StructuredInputItem
) -> dict[str, StructuredInputAnswerSubmission] | None:
    """Returns the answers by question id, or None if the input ended before all were given; an empty line skips one."""
    answers: dict[str, StructuredInputAnswerSubmission] = {}
    for question in item.inputs:
        console.line(f"? {question.question}")
        if isinstance(question, StructuredInputMultipleChoice):
            for number, option in enumerate(question.options, start=1):
                console.line(f"    {number}. {option.value}")
            hint = "numbers or words, separated by commas" if question.multiple else "a number or a word"
        else:
            hint = question.description or "a line of text"
        console.aside(f"  ({hint}; an empty line skips)")
        while True:
            line = console.ask("answer> ")
            if line is None:
                return None
            if not line.strip():
                answers[question.id] = StructuredInputAnswerSubmission(skipped=True)
                break
            if not isinstance(question, StructuredInputMultipleChoice):
                answers[question.id] = StructuredInputAnswerSubmission(values=[line.strip()])
                break
            values = _read_choice(question, line)
            if values is not None:
                answers[question.id] = StructuredInputAnswerSubmission(values=values)
                break
            console.aside("  That is none of the answers.")
    return answers


def _read_choice(question: StructuredInputMultipleChoice, line: str) -> list[str] | None:
    """Returns the options that a line names, by number or by their text in any case; None if it names another."""
    options = [option.value for option in question.options]
    by_text = {option.casefold(): option for option in options}
    chosen: list[str] = []
    # An option may have a comma itself, so the whole line is looked up first.
    whole = by_text.get(line.strip().casefold())
    words = [whole] if whole is not None else [word.strip() for word in line.split(",") if word.strip()]
    for word in words:
        option = by_text.get(word.casefold())
        if option is None and word.isdecimal() and 0 < int(word) <= len(options):
            option = options[int(word) - 1]
        if option is None:
            return None
        if option not in chosen:
            chosen.append(option)
    if not chosen or (len(chosen) > 1 and not question.multiple):
        return None
    return chosen
