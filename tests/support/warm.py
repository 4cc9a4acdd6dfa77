"""``python -m`` of a module, in a process that need not import first what most programs here import.

It is forked from a process that has done so, of which each process that runs tests has one. What is about starting
itself, about modules that are missing, or about a program's own processes takes a real ``python -m``.
"""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import runpy
import select
import signal
import subprocess
import sys
import unittest
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TextIO

from tests.support.scale import FAST, scaled

__all__ = ["WarmProcess"]

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *(
            "chatkit.agents",
            "chatkit.cli.chat",
            "chatkit.cli.migrate",
            "chatkit.cli.model",
            "chatkit.cli.serve",
        ),
        *("chatkit.demo", "chatkit.store.postgres", "chatkit.streams.postgres", "chatkit.streams.redis"),
        *(
            "chatkit.testing",
            "chatkit.web.fastapi",
            "coverage",
            "httptools",
            "tests.support.warm",
            "uvicorn.main",
            "uvloop",
        ),
        *("anyio._backends._asyncio", "fastapi.applications", "httpcore2", "openai.resources.chat"),
        *(
            "openai.resources.responses",
            "truststore",
            "uvicorn.loops.auto",
            "uvicorn.protocols.websockets.auto",
        ),
        *("uvicorn.protocols.http.h11_impl", "uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.on"),
    ]
)

# Programs that are tested have their own use for SIGUSR1 and SIGUSR2.
_TELL = int(getattr(signal, "SIGRTMIN", signal.SIGUSR2))
"""The signal at which a process writes the stacks of its threads."""


class WarmProcess:
    """What ``subprocess.Popen`` is to a real one, as far as tests use it; leader of a session of its own.

    Args:
        module: What follows ``-m``.
        arguments: Its command line.
        folder: Working folder, where modules are looked for.
        environment: The variables that it has.

    Attributes:
        pid: Its number.
        stdin: What it reads.
        stdout: What it writes, and ``stderr``.
    """

    def __init__(
        self, module: str, *arguments: str, folder: str | Path, environment: Mapping[str, str]
    ) -> None:
        if FAST:
            raise unittest.SkipTest("starts a process, which a fast run does not")
        _start_server()
        read, write = _CONTEXT.Pipe(duplex=False)
        pipes = [_CONTEXT.Pipe(duplex=False) for _ in range(2)]
        theirs = [read, *(end for _, end in pipes)]
        self._stacks, stacks = _CONTEXT.Pipe(duplex=False)
        self.stdin = _text(write, "w")
        self.stdout, self.stderr = (_text(end, "r") for end, _ in pipes)
        self._process = _CONTEXT.Process(
            target=_run, args=(module, arguments, os.fspath(folder), dict(environment), theirs, stacks)
        )
        self._process.start()
        for end in (*theirs, stacks):
            end.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self._written: tuple[str, str] | None = None

    def __enter__(self) -> WarmProcess:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()
        self.wait(scaled(60))

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(f"a warm process, which is here:\n{self._where()}\n", timeout)
        return self._process.exitcode

    def _where(self) -> str:
        """Returns the stacks of its threads."""
        self.send_signal(_TELL)
        ready, _, _ = select.select([self._stacks], [], [], scaled(2))
        return os.read(self._stacks.fileno(), 65536).decode() if ready else "it does not say where"

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, input: str = "", timeout: float | None = None) -> tuple[str, str]:
        if self._written is None:
            with ThreadPoolExecutor(2) as pool:
                reading = [pool.submit(stream.read) for stream in (self.stdout, self.stderr)]
                try:
                    # It may end before it has read all.
                    try:
                        self.stdin.write(input)
                        self.stdin.close()
                    except BrokenPipeError:
                        pass
                    self.wait(timeout)
                except BaseException:
                    self.kill()
                    raise
            self._written = reading[0].result(), reading[1].result()
        return self._written


def _start_server() -> None:
    """Starts what is forked, unmeasured: what it imports is none of what its children do."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_")}
    try:
        forkserver.ensure_running()
    finally:
        os.environ.update(kept)


def _text(end: Connection, mode: str) -> TextIO:
    stream: Any = os.fdopen(os.dup(end.fileno()), mode, encoding="utf-8")
    end.close()
    return stream


def _run(
    module: str,
    arguments: tuple[str, ...],
    folder: str,
    environment: dict[str, str],
    pipes: list[Connection],
    stacks: Connection,
) -> None:
    os.setsid()
    faulthandler.register(_TELL, stacks.fileno())
    # A collection would look at all that was imported.
    gc.freeze()
    for number, end in enumerate(pipes):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115 -- as long as it lives
        for number, mode in enumerate(("r", "w", "w"))
    )
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [module, *arguments]
    measured = None
    if "COVERAGE_PROCESS_CONFIG" in environment:
        import coverage

        measured = coverage.process_startup()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        if measured is not None:
            measured.stop()
            measured.save()
