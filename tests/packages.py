"""What is known of every locked package: its licence and why it is here, and what is known against it.

    python -m tests.packages licences     write LICENCES.md from the locks and from what is installed
    python -m tests.packages audit        ask pip-audit about every locked version

Every package stands there with its licence, or `tests/house/test_packages.py` fails; so it does where a licence cannot
be taken together with GPL-2.0-or-later.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

REPOSITORY: Final = Path(__file__).resolve().parents[1]
PAGE: Final = REPOSITORY / "LICENCES.md"
LOCKS: Final = {
    "requirements.lock": "the lab itself",
    "requirements-dev.lock": "tests and checks",
    "requirements-nightly.lock": "nightly targets",
}
COMPATIBLE: Final = frozenset(
    {
        *(
            "MIT",
            "MIT-0",
            "MIT-CMU",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "ISC",
            "0BSD",
            "PSF-2.0",
            "Python-2.0",
            "Unlicense",
            "CC0-1.0",
        ),
        *(
            "Apache-2.0",
            "MPL-2.0",
            "LGPL-2.1-or-later",
            "LGPL-3.0-only",
            "LGPL-3.0-or-later",
            "GPL-2.0-only",
            "GPL-2.0-or-later",
        ),
    }
)
"""Under these a package can be taken together with ours, under version 2 of the GPL or, Apache-2.0 and the LGPL's
version 3, under version 3 (GNU, Various Licenses and Comments about Them)."""
SPELLED: Final = {
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "LGPLv3": "LGPL-3.0-only",
    "LGPLv3+": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
}
ELSEWHERE: Final = {"colorama": "BSD-3-Clause", "pyyaml-ft": "MIT"}
"""Packages that only other systems or versions of Python install, as PyPI has them."""
HEAD: Final = """\
# Licences

The lab is GPL-2.0-or-later. It contains no other's code; what it uses is installed beside it, from the locks, with
hashes. Each of these can be taken together with it: under version 2 of the GPL, or, where it is under Apache-2.0 or
LGPL-3.0, under version 3. (scapy alone is under version 2 only. Nobody hands them out together.)

`make licences` writes this table from the locks and from the packages' own metadata.

| Package | Version | Licence | Part of | Why it is here |
|---|---|---|---|---|
"""
AUDIT_SECONDS: Final = 120


class Package(NamedTuple):
    """One package of a lock: its version, where it is wanted at all, who wants it, and how many hashes it may have."""

    name: str
    version: str
    marker: str
    via: tuple[str, ...]
    hashes: int


def locked(lock: str) -> Iterator[Package]:
    """The packages of a lock, as uv writes it."""
    text = (REPOSITORY / lock).read_text()
    for block in re.split(r"\n(?=[a-zA-Z0-9])", text):
        head = re.match(r"([\w.-]+)==([\w.!+-]+)(?: ; (.*?))? \\\n", block)
        if head:
            via = re.findall(r"^ +# +(?:via )?([\w.() :-]+)$", block, re.MULTILINE)
            who = tuple(name.strip() for name in via if name.strip() not in ("", "via"))
            yield Package(head[1], head[2], (head[3] or "").strip(), who, block.count("--hash=sha256:"))


def every() -> dict[str, tuple[Package, str]]:
    """Each package once, with the first lock that has it."""
    found: dict[str, tuple[Package, str]] = {}
    for lock in LOCKS:
        for package in locked(lock):
            found.setdefault(package.name, (package, lock))
    return dict(sorted(found.items()))


def licence(name: str) -> str:
    """The SPDX expression of an installed package, from its own metadata; empty where it says nothing that is known."""
    try:
        about = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ELSEWHERE.get(name, "")
    classifiers = [
        str(c).split(" :: ")[-1] for c in about.get_all("Classifier") or () if str(c).startswith("License ::")
    ]
    expression, text = (str(about[key]) if key in about else "" for key in ("License-Expression", "License"))
    said = [expression, text.split("\n")[0], *classifiers]
    for each in said:
        spelled = SPELLED.get(each, each)
        if spelled and compatible(spelled):
            return spelled
    return ""


def compatible(expression: str) -> bool:
    """Can it be taken? Of what is joined by OR one part is enough; of AND all have to be."""
    return any(
        all(part.strip(" ()") in COMPATIBLE for part in re.split(r" AND ", choice))
        for choice in re.split(r" OR ", expression.replace("(", "").replace(")", ""))
    )


def reasons() -> dict[str, str]:
    """Why the packages that we name ourselves are here: what stands beside them in pyproject.toml."""
    lines = (REPOSITORY / "pyproject.toml").read_text()
    found = re.findall(r'^  "([\w.-]+)[><=][^"]*",\s*# ([^;]+);', lines, re.MULTILINE)
    return {name.lower().replace("_", "-"): why for name, why in found}


def page() -> str:
    """LICENCES.md."""
    why, rows = reasons(), []
    for name, (package, lock) in every().items():
        wanted = why.get(name) or "for " + ", ".join(
            sorted({w for w in package.via if not w.startswith("progressive")})
        )
        rows.append(f"| {name} | {package.version} | {licence(name) or '**unknown**'} | {LOCKS[lock]} | {wanted} |")
    return HEAD + "\n".join(rows) + "\n"


def audit() -> int:
    """Ask pip-audit about every lock; exit status 1 where something is known against a version.

    Where no advisory can be reached, that is said, and it is no failure: nothing was found, and nothing was looked at.
    """
    command = (sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--format", "json")
    faults, looked_at, passed_over = 0, 0, set[str]()
    for lock in LOCKS:
        try:
            done = subprocess.run(
                [*command, "--progress-spinner", "off", "--timeout", "10", "-r", str(REPOSITORY / lock)],
                capture_output=True,
                text=True,
                timeout=AUDIT_SECONDS,
                check=False,
            )
            found = json.loads(done.stdout)["dependencies"]
        except (subprocess.TimeoutExpired, ValueError, KeyError):
            continue
        for package in found:
            looked_at += "vulns" in package
            passed_over |= {package["name"]} if "skip_reason" in package else set()
            for fault in package.get("vulns", ()):
                faults += 1
                print(f"{package['name']} {package['version']} has {fault['id']}; mended in {fault['fix_versions']}")
    if not looked_at:
        print("The advisories cannot be reached from here, so nothing was audited; try again elsewhere.")
        return 0
    if passed_over:
        print(f"Not audited, since PyPI knows nothing of them: {', '.join(sorted(passed_over))}.")
    print(f"{looked_at} versions looked at, {faults} faults known.")
    return 1 if faults else 0


def main(words: list[str]) -> int:
    """One of the two."""
    if words == ["licences"]:
        PAGE.write_text(page())
        print(f"Written: {PAGE.name}")
        return 0
    if words == ["audit"]:
        return audit()
    print("Say what: licences, or audit.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
