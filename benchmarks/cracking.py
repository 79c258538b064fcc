"""How fast passwords are guessed: the lab, against the best loop around `hashlib` that a person would write.

    python -m benchmarks.cracking [--rounds 5]

For each way of storing that `hashlib` knows, none of the guesses is right, and both begin with a list of bytes. Two
loops are tried against the lab, and the better one counts: hash salt and guess; or copy the state after the salt, and
go on from there. All figures are guesses to a second of a processor; "all cores" sums the seconds of all processes.
"""

import argparse
import hashlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final

from attacks.cracking import on_all_cores, on_one_core
from attacks.hashes import SALTED_SHA256, SCRYPT, SCRYPT_COST, SHA256, Way
from benchmarks.rows import Result, Row, Tell

SALT: Final = b"sixteen bytes..."
DIGEST: Final = b"\x80" * 64
SIZES: Final = {SHA256.name: 300_000, SALTED_SHA256.name: 300_000, SCRYPT.name: 4}
STORED: Final = {SHA256.name: DIGEST[:32], SALTED_SHA256.name: SALT + DIGEST[:32], SCRYPT.name: SALT + DIGEST}


def hashed(salt: bytes, words: Sequence[bytes], digests: set[bytes]) -> None:
    """Each from its beginning."""
    for word in words:
        if hashlib.sha256(salt + word).digest() in digests:
            print(word)


def copied(salt: bytes, words: Sequence[bytes], digests: set[bytes]) -> None:
    """Each from the state after the salt."""
    begun = hashlib.sha256(salt)
    for word in words:
        state = begun.copy()
        state.update(word)
        if state.digest() in digests:
            print(word)


def stretched(salt: bytes, words: Sequence[bytes], digests: set[bytes]) -> None:
    """scrypt has one way only."""
    for word in words:
        if hashlib.scrypt(word, salt=salt, **SCRYPT_COST, maxmem=256 << 20) in digests:
            print(word)


LOOPS: Final[dict[str, tuple[Callable[[bytes, Sequence[bytes], set[bytes]], None], ...]]] = {
    SHA256.name: (hashed, copied),
    SALTED_SHA256.name: (hashed, copied),
    SCRYPT.name: (stretched,),
}


def measure(way: Way, rounds: int) -> dict[str, float]:
    """Guesses to a CPU second, medians: `lab`, `all cores`, and each loop by its name."""
    guesses = [f"no password {number}" for number in range(SIZES[way.name])]
    words = [guess.encode() for guess in guesses]
    salt, digest = way.split(STORED[way.name])
    accounts = {"nobody": STORED[way.name]}
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        for loop in LOOPS[way.name]:
            started = time.process_time()
            loop(salt, words, {digest})
            rates.setdefault(loop.__name__, []).append(len(words) / (time.process_time() - started))
        for name, run in (
            ("lab", on_one_core(way, accounts, guesses, float("inf"))),
            ("all cores", on_all_cores(accounts, guesses)),
        ):
            rates.setdefault(name, []).append(run.hashes / run.seconds)
    return {name: statistics.median(values) for name, values in rates.items()}


def result(say: Tell, rounds: int = 5) -> Result:
    """The rows for the page."""
    made = Result(limits="Lists of guesses of which none is right; guesses to a second of a processor.")
    made.left_out.append("Argon2id: hashlib has none. Debian's hashcat (6.2.6) has none either, nor has its john.")
    for way in (SHA256, SALTED_SHA256, SCRYPT):
        say(f"{way.name}.")
        rates = measure(way, rounds)
        best = max((loop.__name__ for loop in LOOPS[way.name]), key=rates.__getitem__)
        why = "" if rates["lab"] >= rates[best] else "Both spend their time in OpenSSL; what differs is noise."
        for name, target in (("lab", "cracking"), ("all cores", "")):
            said = f"{way.name}, {'one process' if name == 'lab' else name}"
            made.rows.append(
                Row(
                    name=said,
                    ours=rates[name],
                    unit="guesses to a CPU second",
                    against=f"hashlib, {best}",
                    theirs=rates[best],
                    target=target,
                    why=why,
                )
            )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Guessing, against the best loop around hashlib.")
    parser.add_argument("--rounds", type=int, default=5)
    for row in result(print, parser.parse_args(arguments).rounds).rows:
        print(f"{row.name}: {row.ours:,.1f}, {row.against} {row.theirs:,.1f}: {row.figure:.2f}")


if __name__ == "__main__":
    main()
