"""Guessing the passphrase that a room key was made from, with nothing but a recording.

python -m attacks.passphrase_guessing --stage 3 --levers key_exchange=passphrase
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from attacks import Claim, Foothold, Goal, attack, exchange
from attacks.guesses import common_passwords, duration
from attacks.words import kind_of, message_in
from stages import Stage

NOBODYS: Final = bytes(32)
"""A key that was made from no words: what it opens was not sealed (cipher=off)."""


@attack(
    position="thief",
    goals=(
        Goal(
            "room",
            "open a recording by guessing what its key was made from",
            wins="read-room",
            expected="-----",
            absent="no key here comes from a passphrase",
            what_ifs={3: {"key_exchange=passphrase": "B"}, 4: {"key_exchange=passphrase": "B"}},
        ),
    ),
)
async def passphrase_guessing(foothold: Foothold, goal: Goal) -> Claim:
    """Everybody has gone home; nothing is left but the server's record, and Mallory has a copy. The members' room key
    comes from words that they agreed on, so she takes the words that people choose most often, makes a key of each, and
    sees whether one recorded message opens. Nobody counts her tries. When one fits, all the rest opens as well, from
    the first day that these words were in use.
    """
    stage = foothold.stage
    await foothold.until("over")
    recorded = sealed_in(stage, foothold.loot.relayed)
    if not recorded:
        return Claim(did="found no sealed message in the record")
    if opened(stage, NOBODYS, recorded[:1]):
        return Claim(read=opened(stage, NOBODYS, recorded), did="read the record, which any key opens")
    words = common_passwords()
    run = await asyncio.to_thread(guess, stage, recorded[0], words)
    for line in costs(run, len(words)):
        foothold.note(line)
    if run.key is None:
        return Claim(did=f"tried {run.guesses} passphrases on one recorded message, and none opened it")
    read = opened(stage, run.key, recorded)
    return Claim(
        read=read,
        did=f"found the passphrase after {run.guesses} guesses, {run.guesses / run.seconds:.0f} a second, "
        f"and opened {len(read)} of {len(recorded)} recorded messages",
    )


def opened(stage: Stage, key: bytes, recorded: Sequence[Any]) -> list[str]:
    """The texts of those messages that this key opens."""
    texts = [exchange.read(stage, key, sealed) for sealed in recorded]
    return [text for text in texts if text is not None]


def sealed_in(stage: Stage, relayed: Sequence[bytes]) -> list[Any]:
    """The sealed messages in a record; whatever else is in it, damaged or foreign, is passed over."""
    messages = [message_in(stage, line) for line in relayed]
    return [message for message in messages if kind_of(message) == "say" and hasattr(message, "ciphertext")]


@dataclass
class Run:
    """What guessing brought, and what it cost."""

    guesses: int
    seconds: float
    passphrase: str = ""
    key: bytes | None = None


def guess(stage: Stage, sealed: Any, words: Sequence[str]) -> Run:
    """Make a key of each word until one opens this message. It is one hash a guess: that is the whole flaw."""
    started = time.process_time()
    for guesses, word in enumerate(words, 1):
        key = exchange.key_from(stage, word)
        if exchange.read(stage, key, sealed) is not None:
            return Run(guesses, time.process_time() - started, word, key)
    return Run(len(words), time.process_time() - started)


def costs(run: Run, size: int) -> list[str]:
    """What was found, and what the whole list would take."""
    rate = run.guesses / run.seconds
    found = f"the passphrase: {run.passphrase}" if run.key else "no word of the list opens it"
    return [
        f"{found}, after {run.guesses:,} guesses on one recorded message",
        f"one fast hash: {rate:,.0f} guesses a second, the whole list of {size:,} in {duration(size / rate)}",
        "without a salt: the same keys fit every room of this name, so they need to be made only once",
    ]


if __name__ == "__main__":
    from lab.attack_main import main

    main("passphrase_guessing")
