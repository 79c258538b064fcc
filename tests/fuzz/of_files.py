"""Targets: files that a person, another program or an attacker may have damaged or made up.

Whatever stands in one, its reader says in one sentence what is wrong with it, or takes it; never anything else.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

import msgspec

import stages
from lab import handed_in, last_run, progress, question_file, students
from lab.exercise import lines as program
from lab.grades import _lines as graded
from lab.questions import Checker
from stages import Stage
from stages.stage4_tls import tls
from stages.stage5_box.box import identity
from stages.stage5_box.counters import Counters, next_session
from stages.stage5_box.pins import Pin, Pins
from tests.fuzz.cases import Make, as_json, broken, messages, of_samples, plain
from tests.fuzz.house import only_sentences
from tests.fuzz.recorded import capture
from tests.fuzz.target import Check, Target

Reads = Callable[[Path], Any]
"""Gets a file with these bytes."""
KEY: Final = bytes(range(1, 33))


def of_file(name: str, samples: Callable[[Path], list[bytes]], reads: Reads, folder: Path) -> tuple[Make, Check]:
    """A file of this name, as one of the samples, or damaged."""
    made = samples(folder)
    file = folder / name

    def check(data: bytes, rng: Random) -> None:
        file.unlink(missing_ok=True)
        file.write_bytes(data)
        file.chmod(0o600)
        with only_sentences():
            reads(file)

    return of_samples(made), check


def pins(file: Path) -> None:
    """What was read can be used, and written again."""
    known = Pins(file)
    for name in (*known.known, "eve"):
        known.meet(name, KEY)
    Pins(file)


def counters(file: Path) -> None:
    """What was read is used: nothing that was accepted is accepted again."""
    own = Counters(file.parent, KEY)
    for counter in ((1, 0), (1, 64), (2**53 - 1, 2**53 - 1)):
        own.accept(KEY, "whisper", counter)
        assert own.accept(KEY, "whisper", counter) is None


def session(file: Path) -> None:
    """Each start has a number above the last."""
    assert next_session(file) < next_session(file)


def database(stage: Stage, file: Path) -> None:
    """A database that opens can be asked, and none that is damaged lets anybody in."""
    accounts = stage._module("accounts")
    known = accounts.Accounts(file, Hashes())
    assert not known.verify("mallory", "wrong")
    known.has("alice")


class Hashes:
    """A quick way to store a password: what is tried is the file."""

    def hash(self, password: bytes) -> bytes:
        return b"stored " + password

    def verify(self, stored: bytes, password: bytes) -> bool:
        return stored == self.hash(password)


def databases(stage: Stage, folder: Path) -> list[bytes]:
    """One with an account, and one without."""
    accounts, found = stage._module("accounts"), []
    for number, names in enumerate(((), ("alice", "bob"))):
        file = folder / f"made-{number}"
        made = accounts.Accounts(file, Hashes())
        for name in names:
            made.register(name, "sesame")
        found.append(file.read_bytes())
    return found


def certificates(folder: Path) -> list[bytes]:
    """What a server's folder holds: an authority, a certificate, a key; and all in one file."""
    tls.renew(folder / "server", folder / "ca")
    found = [file.read_bytes() for place in ("server", "ca") for file in sorted((folder / place).iterdir())]
    return [*found, b"".join(found)]


def authority(file: Path) -> None:
    """A client trusts it, or says that it is none."""
    tls.client_context(file)


def server_key(file: Path) -> None:
    """The server's folder with this as its key, or as its certificate."""
    tls.private_key(file)


def certificate(file: Path) -> None:
    """What is no certificate is made anew; what is one is compared."""
    found, key = tls.certificate_in(file), tls.private_key(file.with_name("other.key"))
    if found is not None:
        tls.is_good(found, key, found)


def progress_file(file: Path) -> None:
    """It is read, and merged into another, which can be read after."""
    with patch.object(progress, "file", lambda: file):
        with only_sentences():
            progress.read()
        progress.import_from(file)
        progress.read()


def merged_progress(file: Path) -> None:
    """It is imported into what somebody has."""
    own = file.with_name("own.json")
    own.write_bytes(PROGRESS[0])
    with patch.object(progress, "file", lambda: own):
        progress.import_from(file)
        progress.read()


PROGRESS: Final = [
    as_json(
        {
            "version": 1,
            "stages": {
                "3": {
                    "demo": "2026-03-01T10:15:00",
                    "attacks": {"sniffer": "2026-03-01T10:20:00"},
                    "quiz": {"nonce-reuse": {"tries": 2, "right": "2026-03-01T10:31:00"}},
                    "hints": {"nonce-reuse": 1},
                    "exercise": {"passed": "2026-03-01T11:40:00"},
                }
            },
            "at": {"stage": 3, "id": "nonce-reuse"},
        },
        Random(1),
    )
]


def verdicts(file: Path) -> None:
    """The last run's folder: what cannot be read is no run."""
    last_run._in(file.parent, stages.find(1), "sniffer", "room", "")


def answers(file: Path) -> None:
    """What a learner handed in, and what came of it."""
    given = handed_in.read(file)
    handed_in.check(given, {"sequence-number": [1, 2], "host": ["bob"]})


def questions(file: Path) -> None:
    """The capture lab: every question of it can be asked, answered and told."""
    checker = Checker(file)
    for name in checker.questions:
        checker.check(name, "17")
        checker.hint(name)


def grades(file: Path) -> None:
    """A ledger whose last line was cut off."""
    for grade in graded(file.read_bytes()):
        assert grade.student is not None


def quiz(file: Path) -> None:
    """A handout's questions."""
    question_file.read(file)


FILES: Final[dict[str, tuple[str, Callable[[Path], list[bytes]], Reads, float]]] = {
    "pins": (
        "pins.json",
        lambda _: [plain({n: Pin(bytes([n[0] == "b"]) * 32) for n in ("alice", "bob")}), b"{}"],
        pins,
        12,
    ),
    "counters": (
        "seen.json",
        lambda _: [plain({f"{KEY.hex()} {KEY.hex()} whisper": [[1, 9], 1023], "x room": [[2, 0], 1]}), b"{}"],
        counters,
        12,
    ),
    "session": ("session", lambda _: [b"1", b"9007199254740990", b" 12 \n", b"-1", "١".encode()], session, 8),
    "identity": ("identity", lambda _: [KEY.hex().encode(), b"00" * 32, KEY], identity, 8),
    "authority": ("ca.pem", certificates, authority, 4),
    "server-key": ("server.key", certificates, server_key, 4),
    "certificate": ("server.pem", certificates, certificate, 4),
    "progress": ("progress.json", lambda _: PROGRESS, progress_file, 8),
    "merged": ("theirs.json", lambda _: PROGRESS, merged_progress, 8),
    "quiz": ("quiz.toml", lambda _: quizzes(), quiz, 3),
    "roster": (
        "roster.csv",
        lambda _: [b"student,name\nada,Ada\nbob@x,B\n", b'\xef\xbb\xbfstudent\r\n"a"\r\n'],
        students.roster,
        10,
    ),
    "answers": (
        "answers.json",
        lambda _: [b'{"stage":1,"answers":{"host":["bob"],"sequence-number":["0x11"]},"student":"a"}'],
        answers,
        12,
    ),
    "verdicts": (
        "verdicts.json",
        lambda _: [
            b'{"network":"lan","cells":[{"attack":"sniffer","goal":"room","levers":{},"capture":"verdicts.json"}]}'
        ],
        verdicts,
        10,
    ),
    "grades": ("grades.jsonl", lambda _: [b'{"student":"a","stage":1,"status":"graded"}\n' * 3], grades, 10),
    "capture-lab": ("client1.pcapng", lambda _: [capture()], questions, 3),
}


def quizzes() -> list[bytes]:
    """Two questions of each handout."""
    found = []
    for stage in stages.catalogue().values():
        parts = question_file.path_of(stage).read_bytes().split(b"\n[[question]]")
        found.append(b"\n[[question]]".join(parts[:3]))
    return found


def of_program(folder: Path) -> tuple[Make, Check]:
    """What a learner's program may write to the bench."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(program.FromProgram)

    def check(data: bytes, rng: Random) -> None:
        with contextlib.suppress(program.Nonsense):
            program.decoded(decoder, data)

    return broken(messages(program.FromProgram)), check


def targets() -> Iterator[Target]:
    """Each file, the databases of the stages that have one, and what is no file but read like one."""
    for name, (file, samples, reads, share) in FILES.items():
        yield Target(name, partial(of_file, file, samples, reads), share)
    for number in (2, 5):
        stage = stages.find(number)
        yield Target(
            f"accounts-{number}",
            partial(of_file, "accounts.sqlite", partial(databases, stage), partial(database, stage)),
            3,
        )
    yield Target("program", of_program, 30)
