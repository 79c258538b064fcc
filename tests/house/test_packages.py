"""Every locked package has its hashes, its licence and its reason."""

import importlib.metadata
import json
import re
import subprocess
from itertools import pairwise
from typing import Any

import pytest

from tests import packages
from tests.packages import LOCKS, PAGE, compatible, every, licence, locked, reasons


def rows() -> dict[str, tuple[str, str, str]]:
    """Version, licence and reason of each package, as LICENCES.md has them."""
    found = re.findall(r"^\| ([a-z0-9-]+) \| ([\w.]+) \| (.+?) \| .+? \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    return {name: (version, said, why) for name, version, said, why in found}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_hashes(lock: str) -> None:
    there = list(locked(lock))
    text = (packages.REPOSITORY / lock).read_text()
    assert len(there) == len(re.findall(r"^[a-z0-9].*==", text, re.MULTILINE)) > 15
    assert [package.name for package in there if not package.hashes] == []
    assert "://" not in text


def test_each_lock_has_what_the_one_before_has() -> None:
    versions = [{package.name: package.version for package in locked(lock)} for lock in LOCKS]
    for less, more in pairwise(versions):
        assert less.items() <= more.items()


def test_every_locked_package_stands_among_the_licences() -> None:
    assert {name: version for name, (version, _, _) in rows().items()} == {
        name: package.version for name, (package, _) in every().items()
    }, "run: make licences"


def test_every_licence_can_be_taken_together_with_ours_and_every_package_has_a_reason() -> None:
    for name, (_, said, why) in rows().items():
        assert compatible(said), f"{name} is under {said}"
        assert why not in ("", "for "), name
    assert not compatible("**unknown**")
    assert not compatible("GPL-2.0-only AND Proprietary")
    assert compatible("Proprietary OR MIT")


def test_licences_are_what_the_installed_packages_say() -> None:
    installed = {
        each.metadata["Name"].lower().replace("_", "-").replace(".", "-") for each in importlib.metadata.distributions()
    }
    looked_at = [name for name in rows() if name in installed]
    assert len(looked_at) > 20
    for name in looked_at:
        assert rows()[name][1] == licence(name), name


def test_every_package_that_we_name_has_our_reason_for_it() -> None:
    named = reasons()
    assert {"scapy", "pytest", "mutmut"} <= set(named)
    for name, why in named.items():
        assert rows()[name][2] == why


def answering(monkeypatch: pytest.MonkeyPatch, *dependencies: dict[str, Any]) -> None:
    """pip-audit says this of every lock."""

    def run(*_: Any, **__: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess([], 0, json.dumps({"dependencies": dependencies}), "")

    monkeypatch.setattr("tests.packages.subprocess.run", run)


def test_audit_fails_where_something_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, {"name": "x", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]})
    assert packages.audit() == 1
    assert "x 1 has PYSEC-1; mended in ['2']" in capsys.readouterr().out
    answering(monkeypatch, {"name": "x", "version": "1", "vulns": []}, {"name": "y", "skip_reason": "none"})
    assert packages.audit() == 0
    assert "Not audited, since PyPI knows nothing of them: y." in capsys.readouterr().out


def test_audit_says_where_it_could_look_at_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, {"name": "x", "skip_reason": "not found"})
    assert packages.audit() == 0
    assert "The advisories cannot be reached from here, so nothing was audited" in capsys.readouterr().out

    def hangs(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("pip-audit", 1)

    monkeypatch.setattr("tests.packages.subprocess.run", hangs)
    assert packages.audit() == 0
    assert "nothing was audited" in capsys.readouterr().out
