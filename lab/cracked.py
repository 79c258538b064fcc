"""`lab crack FILE`: guess the passwords in a stolen database, on all cores and without a clock."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attacks.cracking import Run, on_all_cores
from attacks.guesses import common_passwords, duration
from attacks.hashcat import by_way, export
from attacks.hashes import PLAINTEXT, Way, stolen
from common.errors import LabError


def crack(file: Path, *, words: Path | None, hashcat: Path | None, as_json: bool) -> int:
    """Find what can be found, and say what it cost; exit status 0 where a password was found, 3 where none was.

    hashcat: write files for it there, and guess nothing. Raises LabError for what is no database, or no list.
    """
    accounts, guesses = stolen(file), word_list(words)
    if hashcat:
        for line in export(hashcat, accounts, guesses):
            print(line)
        return 0
    found: dict[str, str] = {}
    for way, stored in by_way(accounts).items():
        run = _open(way, stored, guesses, quiet=as_json)
        found |= run.found
        if not as_json:
            _say(way, stored, run)
    if as_json:
        print(json.dumps({"accounts": len(accounts), "found": found}))
    return 0 if found else 3


def word_list(file: Path | None) -> list[str]:
    """A guess a line; the 30,000 most common passwords where no file is given. Raises LabError."""
    if file is None:
        return common_passwords()
    try:
        words = file.read_text(encoding="utf-8", errors="ignore").splitlines()
    except OSError as error:
        raise LabError(f"Cannot read {file} ({error.strerror}); give --words a file with a guess a line.") from None
    if not words:
        raise LabError(f"{file} is empty; give --words a file with a guess a line.")
    return words


def _open(way: Way, stored: dict[str, bytes], guesses: Sequence[str], *, quiet: bool) -> Run:
    if way is PLAINTEXT:
        return Run(found={name: password.decode(errors="replace") for name, password in stored.items()})
    with _progress(way, len(guesses), quiet) as tell:
        return on_all_cores(stored, guesses, tell=tell)


@contextlib.contextmanager
def _progress(way: Way, size: int, quiet: bool) -> Iterator[Callable[[Run], None]]:
    """How far it is, on the terminal and nowhere else; nothing of it stays."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}, {task.fields[found]} found, {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(way.name, total=size, found=0, rate="")

        def tell(run: Run) -> None:
            rate = f"{run.hashes / run.seconds:,.0f} a core and second" if run.seconds else ""
            progress.update(task, completed=run.guesses, found=len(run.found), rate=rate)

        yield tell


def _say(way: Way, stored: dict[str, bytes], run: Run) -> None:
    for name, password in run.found.items():
        print(f"{name}: {password}")
    cost = f", {run.hashes:,} hashes in {duration(run.seconds)} of a processor" if run.seconds else ""
    print(f"{way.name}: {len(run.found)} of {len(stored)} found{cost}")
