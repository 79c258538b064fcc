"""Guessing the passwords in a stolen database.

python -m attacks.crack_passwords --stage 2
lab crack accounts.sqlite                  a file, on all cores, without a clock; `--export hashcat FOLDER`

The verdict is a matter of one second of one processor, so in the scene one process guesses.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from attacks import CPU_SECONDS, Claim, Foothold, Goal, attack
from attacks.cracking import on_one_core
from attacks.guesses import common_passwords, duration
from attacks.hashes import PLAINTEXT, SHA256, Way, stolen, way_of

SAMPLE: Final = 20_000
"""Guesses by which the fast hash is measured."""
MANY_USERS: Final = 1_000


@attack(
    position="thief",
    goals=(
        Goal(
            "weak",
            "recover, in a second of a processor, a password that many people choose",
            wins="cracked",
            expected="-HHHH",
            absent="nobody has a password here",
            ablation="password_hash=sha256",
            by_processor_time=True,
            what_ifs={
                2: {
                    "password_hash=plaintext": "B",
                    "password_hash=sha256": "B",
                    "password_hash=salted-sha256": "B",
                    "password_hash=scrypt": "H",
                }
            },
        ),
    ),
)
async def crack_passwords(foothold: Foothold, goal: Goal) -> Claim:
    """Mallory has stolen the database, and Bob's password is one of the ten thousand that people choose most often. She
    takes these in order, hashes each, and looks whether the result is in the database. Nothing can forbid it; all that
    a server can do in advance is to make every guess cost a lot. "Held" means slowed: with days instead of a second,
    a weak password falls all the same.
    """
    await foothold.until("talking")
    accounts = stolen(foothold.loot.folder / "accounts.sqlite")
    way = way_of(next(iter(accounts.values())))
    if way is PLAINTEXT:
        there = [f"{name}: {password.decode()}" for name, password in accounts.items()]
        return Claim(read=there, did=f"read {len(there)} passwords, which are stored as they are")
    guesses = common_passwords()
    run = await asyncio.to_thread(on_one_core, way, accounts, guesses, CPU_SECONDS)
    rate, fast = run.hashes / run.seconds, await asyncio.to_thread(rate_of_sha256, guesses)
    for name, password in run.found.items():
        foothold.note(f"{name}'s password: {password}")
    for line in costs(way, rate, fast, len(guesses)):
        foothold.note(line)
    return Claim(
        read=[f"{name}: {password}" for name, password in run.found.items()],
        did=f"made {run.hashes} guesses ({way.name}), {rate:.0f} a second, where SHA-256 would allow {fast:.0f}",
    )


def rate_of_sha256(guesses: Sequence[str]) -> float:
    """How many guesses a second this processor makes against the fast hash, for comparison."""
    run = on_one_core(SHA256, {"nobody": b""}, guesses[:SAMPLE], CPU_SECONDS)
    return run.hashes / run.seconds


def costs(way: Way, rate: float, fast: float, size: int) -> list[str]:
    """What one account costs, what many cost, and what the salt is for."""
    whole = size / rate
    users = 1 if not way.salted else MANY_USERS
    shared = "one hash of a guess is compared with all" if users == 1 else "each has a salt, so each is hashed for anew"
    slower = f"{fast / rate:,.0f} times slower than SHA-256" if fast > 10 * rate else "as fast as it can count them"
    return [
        f"{way.name}: {rate:,.0f} guesses a second, {slower}",
        f"the whole list of {size:,} takes {duration(whole)} for one account",
        f"for {MANY_USERS:,} accounts it takes {duration(whole * users)}: {shared}",
    ]


if __name__ == "__main__":
    from lab.attack_main import main

    main("crack_passwords")
