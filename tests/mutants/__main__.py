"""`python -m tests.mutants`: see the package's own words. Exit status 1 for a survivor that is not listed."""

import importlib
import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

REPOSITORY: Final = Path(__file__).resolve().parents[2]
LISTED: Final = Path(__file__).with_name("survivors.toml")
NOTICED: Final = {1: "killed by a test", 3: "killed by a test", 37: "refused by the type checker", 36: "timed out"}
"""mutmut's exit codes (mutmut.stats): 0 is a survivor, 33 one that no test so much as calls."""
SURVIVED: Final = (0, 5, 33)


class Survivor(NamedTuple):
    """What was changed where: the lines that went, and those that came."""

    file: str
    function: str
    was: str
    now: str


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of survivors.toml. `was` and `now` may be parts of the lines; where they are left out, any change of the
    function of that kind of sentence is meant."""

    file: str
    function: str
    why: Annotated[str, msgspec.Meta(min_length=20)]
    kind: Literal["equivalent", "wording"]
    was: str = ""
    now: str = ""

    def is_of(self, survivor: Survivor) -> bool:
        """Does it tell of this one?"""
        here = (self.file, self.function) == (survivor.file, survivor.function)
        if self.kind == "wording" and not self.was:
            return here and differs_in_words_only(survivor)
        return here and self.was in survivor.was and self.now in survivor.now


class _File(msgspec.Struct, forbid_unknown_fields=True):
    survivor: list[Listed] = []


def differs_in_words_only(survivor: Survivor) -> bool:
    """Is it a string in which mutmut wrote XX, or changed small letters to capitals or back?"""
    was, now = survivor.was, survivor.now
    return now.replace("XX", "") == was.replace("XX", "") or was.casefold() == now.casefold()


def listed() -> list[Listed]:
    """What is known to survive, and why."""
    return msgspec.convert(tomllib.loads(LISTED.read_text(encoding="utf-8")), _File).survivor


def outcomes(folder: Path) -> Iterator[tuple[str, str, int | None]]:
    """Each mutant that mutmut made: its file, its name, how the tests ended."""
    for meta in sorted(folder.rglob("*.meta")):
        file = str(meta.relative_to(folder)).removesuffix(".meta")
        for name, code in json.loads(meta.read_text())["exit_code_by_key"].items():
            yield file, name, code


def survivor(file: str, name: str) -> Survivor:
    """What this mutant changes."""
    of_mutmut: Any = importlib.import_module("mutmut.mutation.diff_apply")  # only the nightly tools have it
    lines = of_mutmut.get_diff_for_mutant(name, path=file).splitlines()[2:]
    was, now = ("\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    function = name.rpartition(".")[2].partition("__mutmut")[0].removeprefix("x_")
    return Survivor(file, function.removeprefix("xǁ").replace("ǁ", "."), was, now)


def report(folder: Path) -> int:
    """Count, and say what is wrong."""
    counts, known, used = Counter[str](), listed(), set[Listed]()
    unlisted = []
    for file, name, code in outcomes(folder):
        if code not in SURVIVED:
            counts[NOTICED.get(code or -1, f"not tried ({code})")] += 1
            continue
        found = survivor(file, name)
        reason = next((entry for entry in known if entry.is_of(found)), None)
        counts[f"survived, {reason.kind}" if reason else "survived"] += 1
        if reason:
            used.add(reason)
        else:
            unlisted.append((name, found))
    for name, found in unlisted:
        print(f"\n{found.file}: {found.function} ({name})\n- {found.was}\n+ {found.now}")
    stale = [entry for entry in known if entry not in used]
    for entry in stale:
        print(f"\n{LISTED.name}: nothing survives any more like this: {entry.file} {entry.function} {entry.was!r}")
    total = counts.total()
    print(f"\n{total} mutants: " + ", ".join(f"{number} {what}" for what, number in sorted(counts.items())))
    complete = total and not any(what.startswith("not tried") for what in counts)
    return 0 if complete and not unlisted and not stale else 1


def main(words: list[str]) -> int:
    """Run mutmut, and look at what it left."""
    if words not in ([], ["--report"]):
        print("There is one option: --report.", file=sys.stderr)
        return 2
    if not words:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the type checker is started by its name
        done = subprocess.run(
            [sys.executable, "-m", "mutmut", "run"], cwd=REPOSITORY, env={**os.environ, "PATH": path}, check=False
        )
        if done.returncode not in (0, 1):
            return done.returncode
    return report(Path("mutants"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
