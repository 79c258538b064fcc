"""The commands of `lab` for whoever hands in a report, and for whoever teaches: report, secret, captures, grade."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

import stages
from stages import Stage

SECRET: Final = click.option(
    "--secret", default="", metavar="FILE", help="The instructor's secret; otherwise LAB_SECRET_FILE names it."
)
JSON: Final = click.option("--json", is_flag=True, help="Print one JSON object instead of lines.")
REPORT_HELP: Final = "Lay out the two-page lab report from your own last capture, with the questions left to answer."


def report_of(stage: Stage | None) -> click.Command:
    """`lab stage-1 report`, and `lab report` for the last capture of any stage."""

    @click.command("report", help=REPORT_HELP)
    @click.argument("file", default="")
    @click.option("--write", default="", metavar="FILE", help="Where to; report-stage1.md otherwise.")
    @click.option("--html", is_flag=True, help="One HTML page that prints on two sheets of A4.")
    @click.option("--force", is_flag=True, help="Write over a report that is there.")
    @click.option("--measure", is_flag=True, help="Measure threads against the event loop first.")
    @click.option("--levers", hidden=True)
    @click.option("--network", hidden=True, help="The capture has one.")
    def report(file: str, write: str, html: bool, force: bool, measure: bool, **_: Any) -> None:
        from lab.lab_report import make

        make(file, stage.number if stage else 0, write=write, html=html, force=force, measure=measure)

    return report


@click.command(help="Make the secret from which --student derives a student's parameters.")
@click.option("--write", required=True, metavar="FILE", help="Where to; it must not be there yet.")
def secret(write: str) -> None:
    from lab.students import write_secret

    write_secret(write)
    click.echo(f"{write} holds a new secret. Keep it, and keep it to yourself: whoever has it can make every capture.")


@click.command(help="A capture of their own for each student of a roster (CSV with a column `student`).")
@click.option("--students", default="", metavar="ROSTER", help="The roster.")
@click.option("--stage", default=1, help="Of which stage.  [default: 1]")
@click.option(
    "--out", required=True, metavar="FOLDER", help="A folder for each student comes here, and the sealed key."
)
@click.option("--whose", default="", metavar="CAPTURE", help="Instead: say whose capture this is.")
@click.option("--levers", default="", metavar="A=B …")
@click.option("--network", default="auto", metavar="lan|loopback")
@SECRET
@JSON
def captures(
    students: str, stage: int, out: str, whose: str, levers: str, network: str, secret: str, json: bool
) -> None:
    import asyncio
    from pathlib import Path

    from common.errors import LabError
    from lab import captures
    from lab.students import read_secret, roster

    known = read_secret(secret)
    if whose:
        raise SystemExit(captures.whose(Path(whose), Path(out), known, stage, as_json=json))
    if not students:
        raise LabError("Say for whom: --students roster.csv, or ask whose a capture is: --whose client1.pcapng")
    wishes = captures.Wishes(roster(Path(students)), stages.find(stage), known, Path(out), network, levers, json)
    raise SystemExit(asyncio.run(captures.make(wishes)))


@click.command(help="Grade a folder of submissions, a subfolder for each student, into CSV and JSON.")
@click.argument("folder")
@click.option("--stage", default=1, help="The stage whose exercise was set.  [default: 1]")
@click.option("--out", default="", metavar="FOLDER", help="Where the grades go; beside the submissions otherwise.")
@click.option("--captures", default="", metavar="FOLDER", help="Where `lab captures` put its key; needs the secret.")
@click.option("--jobs", default=1, type=click.IntRange(1, 64), help="So many at once; one is fairest.  [default: 1]")
@click.option("--limit", default=300.0, type=click.FloatRange(1), metavar="SECONDS", help="For one submission.")
@click.option("--again", is_flag=True, help="Grade what was graded already, too.")
@click.option("--network", default="auto", metavar="lan|loopback")
@SECRET
@JSON
def grade(folder: str, out: str, stage: int, secret: str, captures: str, json: bool, **given: Any) -> None:
    import asyncio
    from pathlib import Path

    from lab.grade import Wishes, run
    from lab.students import read_secret

    key = None
    if captures:
        from lab.captures import read_key

        key = read_key(Path(captures), read_secret(secret), stage)
    wishes = Wishes(stages.find(stage), Path(folder), Path(out or folder), key, as_json=json, **given)
    raise SystemExit(asyncio.run(run(wishes)))


@click.command(help="Guess the passwords in a stolen accounts.sqlite, on all cores; or write files for hashcat.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--words", type=click.Path(path_type=Path), metavar="LIST", help="A guess a line; else the 30,000 usual.")
@click.option("--export", type=(click.Choice(["hashcat"]), click.Path(path_type=Path)), metavar="hashcat FOLDER")
@JSON
def crack(file: Path | None, words: Path | None, export: tuple[str, Path] | None, json: bool) -> None:
    from common.errors import LabError
    from lab.cracked import crack as guess
    from lab.verbs import by_make

    if file is None:
        raise LabError("Say which database of accounts, as a server keeps it: make crack FILE=accounts.sqlite")
    status = guess(file, words=words, hashcat=export[1] if export else None, as_json=json)
    raise SystemExit(0 if by_make() else status)


COMMANDS: Final = (report_of(None), secret, captures, grade, crack)


def of_student(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that make a run a student's own."""
    student = click.option(
        "--student", default="", metavar="ID", help="Derive canaries, passwords and ports from the instructor's secret."
    )
    return SECRET(student(function))
