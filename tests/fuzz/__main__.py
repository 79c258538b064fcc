"""`python -m tests.fuzz`: see the package's own words. Exit status 1 where something was found."""

import argparse
import json
import sys
from pathlib import Path

from tests.fuzz.endless import TARGETS, Run, plan, prepared

STATE = Path(".fuzz.json")
"""Where a run that was stopped is taken up again; gone when it is complete."""


def main() -> int:
    """Run, go on, or try one case."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Bad input for every parser of the lab.")
    parser.add_argument("--cases", type=int, default=1_000_000, help="how many in all (1,000,000)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long; run again to go on")
    parser.add_argument("--seed", default="1", help="another seed, other cases")
    parser.add_argument("--only", default="", metavar="TARGET", help=f"one of: {', '.join(TARGETS)}, or how they begin")
    parser.add_argument("--case", type=int, help="this one case of --only")
    options = parser.parse_args()
    names = [name for name in TARGETS if name.startswith(options.only)]
    if not names:
        parser.error(f"there is no target {options.only}; there are: {', '.join(TARGETS)}")
    if options.case is not None:
        with prepared(names, options.seed) as ready:
            target = ready[names[0]]
            rng = target.random(options.case)
            data = target.make(rng)
            print(data)
            print(target.error(data, rng) or "Nothing is wrong with this one.")
        return 0
    run = Run(options.seed, plan(names, options.cases))
    if STATE.exists():
        kept = json.loads(STATE.read_text())
        if kept["seed"] == run.seed and kept["wanted"] == run.wanted:
            run.done.update(kept["done"])
    try:
        run.until(options.seconds, STATE)
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    if all(run.done.get(name, 0) >= wanted for name, wanted in run.wanted.items()):
        STATE.unlink(missing_ok=True)
    print(f"{sum(run.done.values()):,} cases of {len(run.wanted)} targets, seed {run.seed}: {len(run.found)} found.")
    return 1 if run.found else 0


if __name__ == "__main__":
    sys.exit(main())
