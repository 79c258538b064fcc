"""The lab's real programs, started by the hundred: forked from a process that has imported them already.

`stages.<stage>.server` by hand takes a third of a second to import and a thirtieth to start. What runs in the fork is
the same call that `python -m` makes, in a process of its own, which can be killed like any other.
"""

import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import reduction
from multiprocessing.process import BaseProcess
from typing import Any

from stages import catalogue

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [f"stages.{stage.package}.{part}" for stage in catalogue().values() for part in ("server", "client", "compose")]
    + ["uvloop", "tests.faults.forked"]
)


class Forked:
    """A program with a pipe to type into and one to read, or with a file that gets what it prints."""

    def __init__(self, package: str, program: str, *arguments: str, out: int | None = None) -> None:
        typed, self._keyboard = os.pipe()
        self._screen, printed = os.pipe() if out is None else (-1, out)
        ends = _Descriptor(typed), _Descriptor(printed)
        self.process: BaseProcess = _forks.Process(target=_run, args=(package, program, arguments, *ends), daemon=True)
        self.process.start()
        os.close(typed)
        if out is None:
            os.close(printed)

    def types(self, *lines: str) -> None:
        """Type lines. Raises BrokenPipeError where it has ended."""
        os.write(self._keyboard, b"".join(line.encode() + b"\n" for line in lines))

    def line(self) -> str:
        """The next line that it prints; nothing where it has ended."""
        with open(self._screen, "rb", buffering=0, closefd=False) as screen:
            return screen.readline().decode().rstrip("\n")

    def kill(self) -> None:
        """End it in the middle of whatever it does (SIGKILL), and wait until it is gone."""
        self.process.kill()
        self.process.join()
        assert self.process.exitcode == -signal.SIGKILL
        self.close()

    def close(self) -> None:
        """Give back what it was connected with; a program that still runs is ended."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        for end in {self._keyboard, self._screen} - {-1}:
            os.close(end)
        self._keyboard = self._screen = -1


def port_of(server: Forked) -> int:
    """The port that a server says it listens on."""
    words = server.line().split()
    assert words[:2] == ["Listening", "on"], words
    return int(words[4].rstrip(";"))


class _Descriptor:
    """A file descriptor on its way into the fork, where it arrives as its number there."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _arrived, (reduction.DupFd(self.number),)


def _arrived(sent: Any) -> int:
    number: int = sent.detach()
    return number


def _run(package: str, program: str, arguments: tuple[str, ...], typed: int, printed: int) -> None:
    """In the fork: standard input and output as by hand, and then what `python -m` would call."""
    os.dup2(typed, 0)
    for standard in (1, 2):
        os.dup2(printed, standard)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(end, mode, closefd=False) for end, mode in enumerate("rww"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module = importlib.import_module(f"stages.{package}.{program}")
    run = module.serve if program == "server" else module.chat
    run(f"stages.{package}", list(arguments))
