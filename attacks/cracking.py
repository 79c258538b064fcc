"""Guessing stored passwords on all processors: each takes its share of the list.

    run = on_all_cores(accounts, common_passwords(), tell=print)

Accounts with the same salt share the work: one hash is compared with all of them. So without salts one pass over the
list serves every account there is. A process guesses as fast as the best loop around `hashlib`, and no faster, since
nearly all of its time is OpenSSL's (`python -m benchmarks.cracking`).

The others are processes, since Python's interpreter runs on one core. Each is ended by its id, and ends by itself when
nobody reads what it finds: Ctrl-C, or a parent that was killed, leave nothing behind.
"""

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from attacks.hashes import Way, way_of

BATCH: Final = 4096
"""Guesses tried at once, where a hash is fast."""
TELL_SECONDS: Final = 0.25
"""How often a process tells how far it is; one that nobody listens to any more finds out by that."""
MAX_PROCESSES: Final = 16
"""scrypt takes 128 MiB in each."""
Salts = dict[bytes, dict[bytes, list[str]]]
"""For each salt, who has which digest."""


class Run(msgspec.Struct):
    """What guessing brought, and what it cost: hashes made, and seconds of a processor, over all processes.

    guesses: how many of the list were tried.
    """

    found: dict[str, str] = {}
    hashes: int = 0
    seconds: float = 0.0
    guesses: int = 0


class _Task(msgspec.Struct):
    """What one process is to do."""

    accounts: dict[str, bytes]
    guesses: list[str]
    budget: float


def steps(way: Way, accounts: dict[str, bytes], guesses: Sequence[bytes], budget: float) -> Iterator[Run]:
    """Try each guess on all accounts, and tell after each batch, until all are open or `budget` seconds of this
    process's processor are over. The last that is told is the whole."""
    run, salts = Run(), by_salt(way, accounts)
    size = BATCH if way.fast else 1
    started = time.process_time()
    for at in range(0, len(guesses), size):
        batch = guesses[at : at + size]
        for salt, digests in list(salts.items()):
            run.hashes += len(batch)
            for guess, digest in way.hits(salt, batch, digests):
                run.found |= dict.fromkeys(digests.pop(digest, ()), guess.decode())
            if not digests:
                del salts[salt]  # whose password is known is left alone
        run.guesses += len(batch)
        run.seconds = time.process_time() - started
        yield run
        if run.seconds > budget or not salts:
            break


def by_salt(way: Way, accounts: dict[str, bytes]) -> Salts:
    """Who shares a salt, and among those who shares a digest."""
    salts: Salts = {}
    for name, stored in accounts.items():
        salt, digest = way.split(stored)
        salts.setdefault(salt, {}).setdefault(digest, []).append(name)
    return salts


def on_one_core(way: Way, accounts: dict[str, bytes], guesses: Sequence[str], budget: float) -> Run:
    """To the end, in this process alone."""
    run = Run()
    for told in steps(way, accounts, [guess.encode() for guess in guesses], budget):
        run = told
    return run


def on_all_cores(
    accounts: dict[str, bytes],
    guesses: Sequence[str],
    *,
    budget: float = float("inf"),
    tell: Callable[[Run], None] = lambda _: None,
    processes: int = 0,
) -> Run:
    """Guess in one process a core, at most MAX_PROCESSES; `budget` is for all of them together.

    accounts: all stored in one way. tell: gets what was done so far, a few times a second.
    """
    count = processes or min(cores(), MAX_PROCESSES, len(guesses))
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as told:
        reports: dict[int, Run] = {}
        for number in range(count):
            task = _Task(accounts, list(guesses[number::count]), min(budget / count, 1e9))
            process = stack.enter_context(_process(task))
            assert process.stdout is not None
            told.register(process.stdout, selectors.EVENT_READ, (process.pid, process.stdout))
        while told.get_map():
            for key, _ in told.select():
                pid, output = key.data
                if line := output.readline():
                    reports[pid] = msgspec.json.decode(line, type=Run)
                else:
                    told.unregister(output)
            whole = _sum(reports.values())
            tell(whole)
            if len(whole.found) == len(accounts):
                break
        return _sum(reports.values())


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _process(task: _Task) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that guesses, ended with the block. Ctrl-C does not reach it (a process group of its own): it is for
    whoever started it to end it."""
    command = [sys.executable, "-m", "attacks.cracking"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0, bufsize=0
    )
    try:
        with process:
            assert process.stdin is not None
            try:
                _write(process.stdin.fileno(), msgspec.json.encode(task))
                process.stdin.close()
                yield process
            finally:
                process.kill()
    finally:
        process.wait()


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sum(runs: Iterable[Run]) -> Run:
    whole = Run()
    for run in runs:
        whole.found |= run.found
        whole.hashes += run.hashes
        whole.seconds += run.seconds
        whole.guesses += run.guesses
    return whole


def _work() -> None:
    """What such a process does: a task on standard input, a report a line on standard output."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=_Task)
    way = way_of(next(iter(task.accounts.values())))
    run, found, said = Run(), 0, time.monotonic()
    for run in steps(way, task.accounts, [guess.encode() for guess in task.guesses], task.budget):
        if len(run.found) > found or time.monotonic() - said > TELL_SECONDS:
            _say(run)
            found, said = len(run.found), time.monotonic()
    _say(run)


def _say(run: Run) -> None:
    try:
        sys.stdout.buffer.write(msgspec.json.encode(run) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever asked is gone
        os._exit(1)


if __name__ == "__main__":
    _work()
