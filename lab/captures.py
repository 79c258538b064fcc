"""`lab captures`: a capture for each student of a roster, and a sealed key by which the instructor checks them.

    lab captures --students roster.csv --stage 1 --secret FILE --out FOLDER
    lab captures --whose client1.pcapng --stage 1 --secret FILE --out FOLDER

Each student gets FOLDER/ID/, in which is what client 1's card heard. FOLDER/key.sealed holds what is right in every one
of them, in a libsodium SecretBox whose key is derived from the secret: whoever finds it beside the captures learns
nothing. A capture that is there already is left as it is, since its sequence numbers were drawn and would be others.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from common.errors import LabError
from common.files import write_whole
from common.levers import Levers
from lab import capture_lab, pcapng
from lab.bench import Bench
from lab.facts import CLIENT_FILE
from lab.questions import Checker
from lab.report import Report
from lab.students import Secret, Student
from stages import Stage

KEY_FILE: Final = "key.sealed"
Value = int | str


class Made(msgspec.Struct, forbid_unknown_fields=True):
    """What is known of one student's capture: its SHA-256, and what is right for each question."""

    sha256: str
    answers: dict[str, list[Value]]


class Key(msgspec.Struct, forbid_unknown_fields=True):
    """All captures that were made for one stage, by the students' IDs."""

    stage: int
    captures: dict[str, Made] = {}

    def student_of(self, capture: Path, secret: Secret) -> str:
        """Whose capture a file is, by its SHA-256 or a canary in it; empty if nobody's. Raises LabError."""
        data = _read(capture)
        digest = hashlib.sha256(data).hexdigest()
        for student, made in self.captures.items():
            if made.sha256 == digest or Student(student, self.stage, secret).canary("whisper").encode() in data:
                return student
        return ""


def sha256(path: Path) -> str:
    """A file's SHA-256, in hexadecimal. Raises LabError."""
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LabError(f"Cannot read {path} ({error.strerror}).") from None


def _box(secret: Secret) -> SecretBox:
    return SecretBox(secret.derived("key file"))


def read_key(folder: Path, secret: Secret, stage: int) -> Key:
    """The key in this folder. Raises LabError where there is none, or it was sealed under another secret."""
    file = folder / KEY_FILE
    try:
        key = msgspec.json.decode(_box(secret).decrypt(_read(file)), type=Key)
    except CryptoError:
        raise LabError(
            f"{file} was sealed under another secret, or was changed since; give the one it was made with."
        ) from None
    except msgspec.DecodeError:
        raise LabError(f"{file} is of another version of the lab; make the captures again.") from None
    if key.stage != stage:
        raise LabError(f"The captures in {folder} are of stage {key.stage}; add --stage {key.stage}.")
    return key


def write_key(folder: Path, secret: Secret, key: Key) -> None:
    """Seal it, with a nonce that is drawn anew. Raises LabError."""
    write_whole(folder / KEY_FILE, _box(secret).encrypt(msgspec.json.encode(key)), lasting=True)


def answers_of(capture: Path) -> dict[str, list[Value]]:
    """What is right for every question that can be asked of a capture. Raises LabError."""
    checker = Checker(capture)
    return {name: list(question.right(checker.facts)) for name, question in checker.questions.items()}


def write_client(bench: Bench, folder: Path) -> Path:
    """Write what client 1's card heard in the bench's last conversation, and nothing else. Raises LabError."""
    file = folder / CLIENT_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        heard = (frame._replace(comments=()) for frame in bench.recordings["control"].heard_by("alice"))
        pcapng.write(file, "alice eth0", heard)
    except OSError as error:
        raise LabError(f"{file} cannot be written ({error.strerror}).") from None
    return file


@dataclass(frozen=True)
class Wishes:
    """What captures are to be made: for whom, of which stage, on which network, into which folder."""

    students: Iterable[str]
    stage: Stage
    secret: Secret
    out: Path
    network: str = "auto"
    levers: str = ""
    json: bool = False


async def make(wishes: Wishes) -> int:
    """Make what is not there yet. Raises LabError. What was made before an interruption is in the key and stays."""
    from rich.progress import Progress

    report = Report(quiet=wishes.json)
    levers = Levers.parse(wishes.levers, wishes.stage.levers)
    there = (wishes.out / KEY_FILE).exists()
    key = read_key(wishes.out, wishes.secret, wishes.stage.number) if there else Key(wishes.stage.number)
    wanted = [student for student in wishes.students if student not in key.captures]
    async with Bench.open(wishes.network) as bench:
        if bench.why:
            report.line(f"! {bench.why}", "yellow")
        with Progress(console=report.console, transient=True, disable=not report.on_terminal) as progress:
            for student in progress.track(wanted, description="capturing"):
                await capture_lab.play(bench, wishes.stage, levers, drawn=Student(student, key.stage, wishes.secret))
                file = write_client(bench, wishes.out / student)
                key.captures[student] = Made(sha256(file), answers_of(file))
                write_key(wishes.out, wishes.secret, key)
    report.line(f"{len(wanted)} captures made, {len(key.captures) - len(wanted)} were there already: {wishes.out}/")
    report.line(
        f"What is right in each is sealed in {wishes.out / KEY_FILE}; hand out the folders, each to its student."
    )
    if wishes.json:
        print(json.dumps({"out": str(wishes.out), "made": wanted, "students": list(key.captures)}))
    return 0


def whose(capture: Path, folder: Path, secret: Secret, stage: int, *, as_json: bool) -> int:
    """Say whose capture a file is; exit status 1 where it is nobody's of this key."""
    student = read_key(folder, secret, stage).student_of(capture, secret)
    said: dict[str, Any] = {"capture": str(capture), "student": student}
    Report(quiet=as_json).line(f"{capture} is {student}'s." if student else f"{capture} is nobody's of {folder}.")
    if as_json:
        print(json.dumps(said))
    return 0 if student else 1
