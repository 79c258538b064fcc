"""Parameters for each student, derived from the instructor's secret: `--student ID`.

HMAC-SHA-256 (RFC 2104) under the secret, over a purpose, the stage and the student's ID, gives canaries, passwords, the
UDP ports of whispers, and what is said in the capture lab. So each student has a capture of their own, the instructor
can tell whose any capture is, and nobody without the secret can compute another's values, or their own beforehand.

Never live keys: room keys, key pairs, nonces, TCP's sequence numbers and a room's passphrase stay random in every run,
or whoever has the instructor's secret could read what students say to one another. The secret is read from a file, and
written nowhere; it stands in no run, no transcript and no message of an error.
"""

import base64
import csv
import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from common.errors import LabError
from common.text import printable
from lab.drawn import Drawn
from lab.facts import Facts
from lab.scene import MEMBERS
from stages import Stage

SHORTEST: Final = 32
"""Bytes of a secret: as many as HMAC-SHA-256 gives out (RFC 2104, section 3)."""
LONGEST: Final = 4096
VARIABLE: Final = "LAB_SECRET_FILE"
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""An ID is a folder's name, and a field of a spreadsheet."""
FIRST_PORT, PORTS = 20_000, 4_000
"""UDP ports for whispers: above the well-known ones, and below those that Linux gives out by itself (32768)."""


@dataclass(frozen=True)
class Secret:
    """The instructor's secret. It is never shown, not even by repr()."""

    value: bytes = field(repr=False)

    def derived(self, purpose: str, *about: str) -> bytes:
        """32 bytes for one purpose. Each part is preceded by its length, so that no two lists give the same text."""
        parts = ("progressive-security-lab 1", purpose, *about)
        framed = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
        return hmac.digest(self.value, framed, "sha256")


def read_secret(file: str = "") -> Secret:
    """The secret in this file, or in the one that LAB_SECRET_FILE names.

    Raises LabError where there is none, it is too short to be safe, or others may read it.
    """
    name = file or os.environ.get(VARIABLE, "")
    if not name:
        raise LabError(
            f"This needs the instructor's secret: --secret FILE or {VARIABLE}; make one with: "
            ".venv/bin/lab secret --write FILE"
        )
    try:
        with Path(name).open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            value = opened.read(LONGEST + 1)
    except OSError as error:
        raise LabError(f"The secret {name} cannot be read ({error.strerror}).") from None
    if stat.S_ISREG(mode) and mode & 0o077:
        raise LabError(f"Others may read the secret {name}; close it to them (chmod 600), or make another.")
    value = value.strip()
    if not SHORTEST <= len(value) <= LONGEST:
        raise LabError(
            f"The secret in {name} has {min(len(value), LONGEST)} bytes and should have {SHORTEST} or more, at most "
            f"{LONGEST}; make one with: .venv/bin/lab secret --write FILE"
        )
    return Secret(value)


def write_secret(file: str) -> None:
    """Make a new secret of 32 random bytes, as hexadecimal, for the owner's eyes only. Raises LabError."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(f"{secrets.token_hex(SHORTEST)}\n")
    except FileExistsError:
        raise LabError(
            f"{file} is there already, and what was made with it could not be checked without it; name another file."
        ) from None
    except OSError as error:
        raise LabError(f"{file} cannot be written ({error.strerror}).") from None


def checked_id(text: str) -> str:
    """A student's ID. Raises LabError."""
    if not ID.fullmatch(text):
        raise LabError(
            f"A student's ID has 1 to 64 letters, digits and . _ @ -, and begins with a letter or a digit; "
            f"{printable(text[:80]) or 'nothing'} is none."
        )
    return text


@dataclass(frozen=True)
class Student(Drawn):
    """What is drawn for one student at one stage: the same in every run, and another's is another."""

    id: str
    stage: int
    secret: Secret = field(repr=False)

    def __post_init__(self) -> None:
        checked_id(self.id)

    def _derived(self, purpose: str, *about: str) -> bytes:
        return self.secret.derived(purpose, str(self.stage), self.id, *about)

    def canary(self, kind: str) -> str:
        return f"{kind}-{self._derived('canary', kind)[:6].hex()}"

    def password(self, name: str) -> str:
        return base64.urlsafe_b64encode(self._derived("password", name)[:12]).decode()

    def udp_port(self, name: str) -> int:
        """Three ports for three members, one never another's."""
        drawn = int.from_bytes(self._derived("udp ports")[:8], "big") % PORTS
        return FIRST_PORT + len(MEMBERS) * drawn + MEMBERS.index(name)

    def chance(self) -> Random:
        return Random(self._derived("conversation"))

    def check_own(self, facts: Facts) -> None:
        """Is this capture theirs? Ports tell also where nothing can be read. Raises LabError."""
        ports = {each.packet.source[1] for each in facts.whispers}
        if ports != {self.udp_port("alice")}:
            raise LabError(f"{facts.path} was not made for {self.id} under this secret; see: lab captures --whose")


def student_at(stage: Stage, student: str, secret_file: str) -> Student | None:
    """The student that a command line names; None where it names none. Raises LabError."""
    if not student:
        if secret_file:
            raise LabError("--secret is for the parameters of one student; add --student ID.")
        return None
    return Student(checked_id(student), stage.number, read_secret(secret_file))


def roster(file: Path) -> list[str]:
    """The IDs in a CSV file: its column `student`. Raises LabError."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            rows = csv.DictReader(opened)
            if "student" not in (rows.fieldnames or ()):
                raise LabError(f"{file} has no column called student; its first line should name one.")
            found = [checked_id((row["student"] or "").strip()) for row in rows]
    except OSError as error:
        raise LabError(f"{file} cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, csv.Error):
        raise LabError(f"{file} is no CSV in UTF-8; save it as that.") from None
    folded = [student.casefold() for student in found]
    for student in found:
        if folded.count(student.casefold()) > 1:
            raise LabError(f"{file} has {student} twice; each student needs an ID of their own.")
    if not found:
        raise LabError(f"{file} has no students in it.")
    return found
