"""Slow work, such as password hashing: beside the event loop, two at a time, and the addresses take turns.

A thousand logins from one machine are so one in the queue of everybody else; and whoever has hung up loses their turn
(password-hash exhaustion).
"""

import asyncio
import os
import sys
import threading
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Protocol

from common.limits import Limits
from common.session import Work

SLOW_AT_ONCE: Final = 2
"""Threads for slow work. More would only take the processor from the members who are inside."""
NICE: Final = 10
"""How far these threads stand back (from 0 to 19): a tenth of a processor where somebody else wants all of it. With 19
it is a seventieth, and a login would take a second on a machine that is busy with something else."""


def _give_precedence() -> None:
    """This thread takes what the event loop leaves of a processor; on Linux that can be said of a thread alone
    (setpriority(2))."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class Waiting(Protocol):
    """A connection, seen from here."""

    address: str
    gone: bool

    def worked(self, done: "asyncio.Future[Any]", work: Work) -> None:
        """Its work is done, or failed, or was cancelled."""


class SlowWork:
    """What the connections of one server have to be done slowly."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.pool = ThreadPoolExecutor(SLOW_AT_ONCE, "slow", _give_precedence)
        self._stopped = False
        self._number: Counter[str] = Counter()
        """How many from each address wait, or are at it."""
        self._queues: dict[str, deque[tuple[Waiting, Work]]] = {}
        """Whose turn it is: the first address first, and then it is the last."""
        self._at_work = 0

    @property
    def number(self) -> int:
        """How many connections wait, or are at it."""
        return self._number.total()

    def queue_up(self, connection: Waiting, work: Work) -> bool:
        """Wait for a turn; False where too many from there do already."""
        line = connection.address if self.limits.turns_by_address else ""
        if self._number[line] >= self.limits.waiting_for_work:
            return False
        self._number[line] += 1
        self._queues.setdefault(line, deque()).append((connection, work))
        self._next_turns()
        return True

    def stop(self) -> None:
        """Begin no more of it."""
        self._stopped = True
        self.pool.shutdown(cancel_futures=True)

    def _next_turns(self) -> None:
        """Let as many work as may at once: one of the first address, which goes to the end of the line, and so on."""
        while self._at_work < SLOW_AT_ONCE and self._queues:
            line, queue = next(iter(self._queues.items()))
            del self._queues[line]
            connection, work = queue.popleft()
            if queue:
                self._queues[line] = queue
            if connection.gone and self.limits.turns_by_address:  # nobody waits for it any more
                self._one_less(line)
                continue
            self._at_work += 1
            future = asyncio.get_running_loop().run_in_executor(self.pool, work.slow)
            future.add_done_callback(partial(self._worked, line, connection, work))

    def _worked(self, line: str, connection: Waiting, work: Work, done: "asyncio.Future[Any]") -> None:
        self._at_work -= 1
        self._one_less(line)
        if not self._stopped:
            self._next_turns()
        connection.worked(done, work)

    def _one_less(self, line: str) -> None:
        self._number[line] -= 1
        if not self._number[line]:
            del self._number[line]
