"""Targets: what a person types: answers, options of the command `lab`, levers, and variables of `make`.

Words of a command line are an input with NUL between them, as in /proc/PID/cmdline.
"""

import contextlib
import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import click

import stages
from common.command_line import port_number, server_address
from common.hosts import only_lab_or_loopback
from common.levers import Levers
from lab.answers import Unreadable, flag, frame_number, member, number
from lab.cli import Lab, run
from lab.cli import lab as command
from lab.judging import judge
from lab.last_run import Absent
from lab.question_file import questions
from lab.reading import two_hosts
from lab.students import checked_id
from stages import Stage
from tests.fuzz.cases import TEXTS, Make, broken
from tests.fuzz.house import only_sentences
from tests.fuzz.target import Check, Target
from tests.house.test_bootstrap import House

ANSWERS: Final = (
    *(
        "17",
        "0x11",
        "3 412 098 711",
        "2 bytes",
        "16 bits",
        "1.000.000",
        "1e9",
        "-1",
        "٣",
        "²",
        "9" * 61,
        "0x",
        "''",
        "1_0",
    ),
    *(
        "[FIN, ACK]",
        "0x011",
        "FIN",
        "flags",
        "bob",
        "10.13.37.22",
        "frame 5",
        "#5",
        "No. 7",
        "whisper-00",
        "(a)",
        "a and b",
        "|",
    ),
)
OPTIONS: Final = (
    *(
        "--help",
        "--json",
        "--levers",
        "--network",
        "--goal",
        "--via",
        "--lan",
        "--count",
        "--duration",
        "--read",
        "-v",
        "--write",
    ),
    *(
        "--port",
        "--max",
        "--name",
        "--question",
        "--part",
        "--from",
        "--to",
        "--stage",
        "--target",
        "--",
        "-",
        "--export",
        "-x",
    ),
    *(
        "cipher=off",
        "verify=none",
        "framing=none",
        "arp",
        "=",
        "a=b=c",
        "1",
        "-1",
        "99999999999999999999",
        "nan",
        "hub",
        "loopback",
    ),
)
QUIET: Final = ("diff", "progress", "hint", "help", "flow", "secret")
"""Commands that are also run, since they only read and print, or fail on the words that they are given."""


def texts(*samples: str) -> Make:
    """A few of these words, damaged."""

    def make(rng: Random) -> bytes:
        words = [rng.choice(samples if rng.randrange(4) else TEXTS) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        return " ".join(words).encode(errors="surrogatepass")

    return broken(make)


def of_answers(folder: Path) -> tuple[Make, Check]:
    """An answer to a question of the capture lab is a number, a flag or a host, or unreadable."""

    def check(data: bytes, rng: Random) -> None:
        text = data.decode(errors="surrogateescape")
        for reads in (number, frame_number, flag, member):
            with contextlib.suppress(Unreadable):
                reads(text)

    return texts(*ANSWERS), check


def of_quiz(stage: Stage, folder: Path) -> tuple[Make, Check]:
    """An answer to a question of the handout is right, or wrong for a reason, or none."""
    asked = [question for question in questions(stage.number).values() if question.kind != "run"]
    known = [text for question in asked for text in (*question.answers, *(option.text for option in question.option))]

    def check(data: bytes, rng: Random) -> None:
        question = rng.choice(asked)
        with contextlib.suppress(Unreadable, Absent):
            judged = judge(stage.number, question, data.decode(errors="surrogateescape"), question.option)
            assert judged.right or judged.says

    return texts(*known, *ANSWERS), check


def of_settings(folder: Path) -> tuple[Make, Check]:
    """Levers, addresses, ports, names: each is taken, or one sentence says what was expected."""
    stage = stages.find(5)
    words = [f"{lever.name}={setting}" for lever in stage.levers for setting in lever.settings]

    def check(data: bytes, rng: Random) -> None:
        text = data.decode(errors="surrogateescape")
        for reads in (partial(Levers.parse, known=stage.levers), only_lab_or_loopback, two_hosts, checked_id):
            with only_sentences():
                reads(text)
        with only_sentences():
            host, port = server_address(text, 5005)
            assert host
            assert 0 < port < 65536
        with contextlib.suppress(ValueError):
            assert 0 <= port_number(text) < 65536

    return texts(
        *words, "127.0.0.1", "127.0.0.1:5001", ":5001", "alice,server", "::ffff:127.0.0.1", "0x7f000001"
    ), check


def command_lines(rng: Random) -> bytes:
    """The words of a command line."""
    names = ["stage-1", "stage-5", "stage-9", "stage-x", *command.commands]
    said = [rng.choice(names)]
    if said[0].startswith("stage"):
        said.append(
            rng.choice(("demo", "attack", "mitm", "sniffer", "server", "client", "quiz", "audit", "nothing", "check"))
        )
    said += [rng.choice((*OPTIONS, *OPTIONS, *TEXTS, *ANSWERS)) for _ in range(rng.randrange(5))]
    return "\0".join(word.replace("\0", "") for word in said).encode(errors="surrogatepass")


def understood(words: Sequence[str]) -> None:
    """Read a command line down to its last command, and run nothing."""
    found: click.Command = command
    context, rest = None, list(words)
    while True:
        context = found.make_context("lab", rest, parent=context)
        if not isinstance(found, click.Group) or not context._protected_args + context.args:
            return
        assert isinstance(found, Lab | click.Group)
        _, chosen, rest = found.resolve_command(context, context._protected_args + context.args)
        assert chosen is not None
        found = chosen


def of_command(folder: Path) -> tuple[Make, Check]:
    """Every command line is understood, or refused in one sentence; some of them are run."""

    def check(data: bytes, rng: Random) -> None:
        words = data.decode(errors="surrogateescape").split("\0")
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(folder):
            with contextlib.suppress(click.ClickException, click.exceptions.Exit, SystemExit):
                understood(words)
            if words[0] in QUIET and "--write" not in words and "--export" not in words:
                assert run(words) in (0, 1, 2, 3)
        assert "Traceback" not in err.getvalue()

    return broken(command_lines), check


def of_make(folder: Path) -> tuple[Make, Check]:
    """A value on `make`'s command line reaches the lab as it is, and no part of it is ever run."""
    house = House(folder / "a house", folder / "tools")
    assert house.make("doctor")[2] == 0
    spells = (
        "$(touch broken)",
        "`touch broken`",
        '"',
        "'",
        ";",
        "$(shell touch broken)",
        "${x}",
        "$$",
        "\\",
        "#",
        "%",
        "|",
        "&",
        "*",
        "\t",
        ":=",
    )

    def make(rng: Random) -> bytes:
        return "".join(
            rng.choice((*spells, "touch broken", "name", " ", "é")) for _ in range(rng.randrange(1, 7))
        ).encode()

    def check(data: bytes, rng: Random) -> None:
        value = data.decode(errors="replace").replace("\0", "").replace("\n", "").replace("\r", "").lstrip()
        printed, _, status = house.make("stage-1", "client", f"NAME={value}")
        wanted = (f"lab[stage-1][client][--name][{value}]", 0)
        assert (printed, status) == wanted, f"{printed} is not {wanted}"
        house.make("stage-1", "demo", f"ARGS={value}")
        house.make(f"x{value}", "doctor")
        assert not (house.folder / "broken").exists()

    return make, check


def targets() -> Iterator[Target]:
    """Answers, words, variables."""
    yield Target("answers", of_answers, 60)
    for number_ in (1, 3, 5):
        yield Target(f"quiz-{number_}", partial(of_quiz, stages.find(number_)), 15)
    yield Target("settings", of_settings, 40)
    yield Target("command", of_command, 6)
    yield Target("make", of_make, 0.2)
