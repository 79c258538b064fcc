"""Guessing stored passwords on all processors: each takes its share of the list.

    run = on_all_cores(way, accounts, common_passwords(), tell=print)

Accounts with the same salt share the work: one hash is compared with all of them. So without salts one pass over the
list serves every account there is. A fast hash is tried in batches without a line of Python for each guess, which is
as fast as `hashlib` goes (`python -m benchmarks.cracking`).

The others are processes, since Python's interpreter runs on one core. Each is ended by its id, and ends by itself when
nobody reads what it finds: Ctrl-C, or a parent that was killed, leave nothing behind.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import methodcaller
from typing import Final

import msgspec

from attacks.hashes import SALTED_SHA256, SHA256, Way

BATCH: Final = 512
"""Guesses tried at once, where a hash is fast."""
TELL_SECONDS: Final = 0.25
PIECE: Final = 1 << 16
Salts = dict[bytes, dict[bytes, list[str]]]
"""For each salt, who has which digest."""
Tell = Callable[["Run"], None]


@dataclass
class Run:
    """What guessing brought, and what it cost: hashes made, and seconds of a processor, over all processes."""

    found: dict[str, str] = field(default_factory=dict)
    hashes: int = 0
    seconds: float = 0.0
    guesses: int = 0
    """How many of the list were tried."""


def by_salt(way: Way, accounts: dict[str, bytes]) -> Salts:
    """Who shares a salt, and among those who shares a digest."""
    salts: Salts = {}
    for name, stored in accounts.items():
        salt, digest = way.split(stored)
        salts.setdefault(salt, {}).setdefault(digest, []).append(name)
    return salts


def steps(way: Way, accounts: dict[str, bytes], guesses: Sequence[str], budget: float = float("inf")) -> Iterator[Run]:
    """Try each guess on all accounts, and tell after each batch, until all are open or `budget` seconds of this
    process's processor are over. The last that is told is the whole."""
    run, salts = Run(), by_salt(way, accounts)
    size = BATCH if way in (SHA256, SALTED_SHA256) else 1
    started = time.process_time()
    for at in range(0, len(guesses), size):
        batch = guesses[at : at + size]
        words = [guess.encode() for guess in batch]
        for salt, digests in salts.items():
            run.hashes += len(words)
            if not digests.keys().isdisjoint(way.hashes(salt, words)):
                for word, digest in zip(batch, way.hashes(salt, words), strict=True):
                    run.found |= dict.fromkeys(digests.get(digest, ()), word)
        run.guesses += len(batch)
        run.seconds = time.process_time() - started
        yield run
        if run.seconds > budget or len(run.found) == len(accounts):
            break


def guess(way: Way, accounts: dict[str, bytes], guesses: Sequence[str], budget: float) -> Run:
    """The same, to its end, in this process alone."""
    run = Run()
    for run in steps(way, accounts, guesses, budget):  # noqa: B007 - the last is the whole
        pass
    return run
