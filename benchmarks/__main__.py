"""All benchmarks in one go, about a quarter of an hour where the machine is not too busy, and their page: `make bench`.

    python -m benchmarks [SUBJECT ...]

What is measured is written at once, subject by subject: a run that is broken off keeps what it had.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from typing import Final

from benchmarks import page, rows
from common.errors import LabError

SUBJECTS: Final = ("brokers", "arrivals", "boxes", "people", "cracking", "captures", "live", "calm")


def say(line: str) -> None:
    """What a benchmark does at the moment."""
    print(f"  {line}", flush=True)


def measure(subject: str) -> None:
    """One subject: run it, keep its result, write the page."""
    began = time.monotonic()
    result: rows.Result = importlib.import_module(f"benchmarks.{subject}").result(say)
    result.seconds = time.monotonic() - began
    page.write(rows.keep(subject, result))
    print(f"{subject}: {result.seconds:.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, subject by subject; one that cannot be measured does not keep the others from it."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure, and write benchmarks/README.md.")
    parser.add_argument("subject", nargs="*", help=f"some of them only: {', '.join(SUBJECTS)}")
    chosen = parser.parse_args(arguments).subject
    if unknown := set(chosen) - set(SUBJECTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(SUBJECTS)}")
    failed = False
    for subject in chosen or SUBJECTS:
        print(f"{subject}:", flush=True)
        try:
            measure(subject)
        except LabError as error:
            failed = True
            print(f"{subject} could not be measured. {error}", file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
