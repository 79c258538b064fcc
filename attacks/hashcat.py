"""Stolen passwords as files that hashcat cracks.

    for line in export(folder, stolen(database), common_passwords()):
        print(line)

What hashcat needs beside a file is said with it: the mode, and that salts are written in hex. Its modes, as
`hashcat --example-hashes` shows them: 1400 is SHA-256, 1420 SHA-256 of the salt and then the password (1410 is the
other way round), 8900 scrypt. Debian's hashcat (6.2.6) has no Argon2, and Debian's john has none of these.
"""

import base64
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from attacks.hashes import SALTED_SHA256, SCRYPT, SCRYPT_COST, SHA256, Way, way_of
from common.errors import LabError
from common.files import write_whole

WORDS: Final = "words.txt"
_DIGEST_BYTES: Final = 32
"""hashcat compares so much of scrypt's output; a shorter one is the beginning of a longer (RFC 8018, section 5.2)."""


def _sha256(stored: bytes) -> str:
    return stored.hex()


def _salted_sha256(stored: bytes) -> str:
    salt, digest = SALTED_SHA256.split(stored)
    return f"{digest.hex()}:{salt.hex()}"


def _scrypt(stored: bytes) -> str:
    salt, digest = (base64.b64encode(part[:_DIGEST_BYTES]).decode() for part in SCRYPT.split(stored))
    return "SCRYPT:{n}:{r}:{p}:".format(**SCRYPT_COST) + f"{salt}:{digest}"


FORMS: Final[dict[str, tuple[str, str, Callable[[bytes], str]]]] = {
    SHA256.name: ("sha256.txt", "-m 1400", _sha256),
    SALTED_SHA256.name: ("salted-sha256.txt", "-m 1420 --hex-salt", _salted_sha256),
    SCRYPT.name: ("scrypt.txt", "-m 8900", _scrypt),
}
"""For each way of storing: the file, what hashcat is told about it, and a line for each account."""


def export(folder: Path, accounts: dict[str, bytes], words: Sequence[str]) -> Iterator[str]:
    """Write a file for each way of storing, readable by its owner only, and the list of guesses; yield what to run.

    Raises LabError where the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"Cannot make {folder} ({error.strerror}); give --export a folder of yours.") from None
    write_whole(folder / WORDS, "".join(f"{word}\n" for word in words).encode())
    for way, stored in by_way(accounts).items():
        if way.name not in FORMS:
            yield f"{way.name}: {len(stored)} left out. " + WHY_NOT.get(way.name, "These need no cracking.")
            continue
        file, options, line = FORMS[way.name]
        write_whole(folder / file, "".join(f"{line(value)}\n" for value in stored.values()).encode())
        yield f"{way.name}: hashcat -a 0 {options} {folder / file} {folder / WORDS}"


WHY_NOT: Final = {
    "Argon2id": "Debian's hashcat (6.2.6) has no Argon2, and Debian's john none of these; lab crack FILE tries them."
}


def by_way(accounts: dict[str, bytes]) -> dict[Way, dict[str, bytes]]:
    """The accounts that are stored in one way, for each way."""
    ways: dict[Way, dict[str, bytes]] = {}
    for name, stored in accounts.items():
        ways.setdefault(way_of(stored), {})[name] = stored
    return ways
