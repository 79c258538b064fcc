"""The verbs `exercise`, `check` and `solution` of a stage."""

import json as jsonlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from common.errors import LabError
from common.text import printable
from stages import Stage

PASSED, FAILED = 0, 1
"""The exit status of a check. Through make, one that ran to a verdict has succeeded, as an attack has."""


def exercise(stage: Stage) -> click.Command:
    """`lab stage-3 exercise`."""

    @click.command("exercise", help="Lay out this stage's exercise in work/: the lever is yours to write.")
    @click.option("--attached", is_flag=True, help="client.py and server.py are given, attached.")
    @click.option("--fresh", is_flag=True, help="Begin anew; the old workspace is moved aside.")
    @click.option("--levers", hidden=True)
    @click.option("--network", hidden=True)
    def command(attached: bool, fresh: bool, **_: Any) -> None:
        from lab.exercise import declared, noted, workspace
        from lab.exercise.shown import Page

        folder, aside = workspace.lay_out(stage, attached=attached, fresh=fresh)
        noted.note(stage, "begun")
        asked, n = declared.exercise(stage.number), stage.number
        page = Page()
        if aside:
            page.row(f"The old workspace is in {aside}/ now.")
        page.row(f"Stage {n}: {asked.title}. Your workspace is {folder}/; what to do stands in {folder}/TASK.md.")
        for file, blanks in asked.blanks.items():
            if (folder / file).exists() and (attached or file not in asked.attach):
                page.row(f"{folder / file}: {', '.join(blanks)}", "", "  ", "    ")
        if asked.attach and not attached:
            page.row(f"then attach it in {', '.join(str(folder / file) for file in asked.attach)}", "", "  ", "    ")
        page.row(f"Check it, as often as you like: make stage-{n} check")

    return command


def check(stage: Stage) -> click.Command:
    """`lab stage-3 check [FOLDER]`."""

    @click.command("check", help="Run your code as the stage: the conversation, the attacks, known answers.")
    @click.argument("folder", default="")
    @click.option("--requirement", "only", multiple=True, metavar="ID", help="Only this one. May be repeated.")
    @click.option("--json", is_flag=True, help="Print one JSON object instead of lines.")
    @click.option("--network", default="auto", metavar="lan|loopback", help="Which network; the LAN where possible.")
    @click.option("--levers", hidden=True)
    def command(folder: str, only: tuple[str, ...], json: bool, network: str, **_: Any) -> None:
        import asyncio

        from lab.exercise import noted
        from lab.exercise.check import check
        from lab.exercise.program import NOT_WRITTEN
        from lab.exercise.shown import show
        from lab.verbs import by_make

        outcome = asyncio.run(check(stage, _folder(stage, folder), network=network, only=only))
        if json:
            click.echo(jsonlib.dumps(outcome.to_json(), indent=2))
        else:
            show(outcome)
        if outcome.passed and not (only or folder):
            noted.note(stage, "passed")
        if outcome.next:
            unwritten = outcome.next.observed.startswith(NOT_WRITTEN)  # whose hint is not shown
            noted.at(stage, outcome.next.helps, hint_shown="" if unwritten or json else outcome.next.hint)
        raise SystemExit(PASSED if outcome.passed or by_make() else FAILED)

    return command


def solution(stage: Stage) -> click.Command:
    """`lab stage-3 solution [FOLDER]`."""

    @click.command("solution", help="The way from your code to the reference, as a diff, once it passes.")
    @click.argument("folder", default="")
    @click.option("--give-up", is_flag=True, help="Show it now; your progress says so.")
    @click.option("--network", default="auto", metavar="lan|loopback", help="Which network the check is made on.")
    @click.option("--levers", hidden=True)
    def command(folder: str, give_up: bool, network: str, **_: Any) -> None:
        import asyncio

        from lab.exercise import noted
        from lab.exercise.check import check
        from lab.exercise.solution import to_reference

        where = _folder(stage, folder)
        if give_up:
            noted.note(stage, "given-up")
        elif not asyncio.run(check(stage, where, network=network)).passed:
            raise LabError(
                f"{where} does not pass yet: make stage-{stage.number} check says why, and has hints. To see the "
                f"solution all the same: make stage-{stage.number} solution GIVE_UP=1 (your progress says so)."
            )
        _print(list(to_reference(stage, where)), where)

    return command


def _folder(stage: Stage, given: str) -> Path:
    """The folder that was named, or the workspace. Raises LabError where there is none."""
    from lab.exercise import workspace

    folder = Path(given) if given else workspace.folder_of(stage)
    if not folder.is_dir():
        begin = f"; lay out the exercise with make stage-{stage.number} exercise" if not given else ""
        raise LabError(f"There is no folder {folder}{begin}.")
    return folder


def _print(diff: list[str], folder: Path) -> None:
    if not diff:
        click.echo(f"{folder} is the reference, to the letter.")
        return
    text = "\n".join(printable(line) for line in diff)
    if not sys.stdout.isatty():
        click.echo(text)
        return
    from rich.syntax import Syntax

    from lab.output import Output

    console = Output(no_color=bool(os.environ.get("NO_COLOR")), highlight=False)
    console.print(Syntax(text, "diff", theme="ansi_dark", background_color="default", word_wrap=True))
