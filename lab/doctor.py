"""What this machine can do: `make doctor`."""

import importlib.metadata
import json
import os
import platform
import shutil
import socket
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final

from common.errors import LabError
from common.lan import Lan
from common.loopback import PRIVATE, PUBLIC

OPTIONAL: Final = {
    "wireshark": "opens the captures of a run",
    "tshark": "reads captures in the terminal",
    "tmux": "opens a window for each host in `make lan`",
    "tcpdump": "listens on a host of `make lan`",
    "nc": "lets you speak the protocol by hand",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `good` is None for what is merely nice to have and is missing."""

    what: str
    good: bool | None
    says: str


def examine(*, as_json: bool) -> int:
    """Look, say what was found, and return 0 where the lab can run here on some network."""
    lan, loopback = check_lan(), check_loopback()
    network = "lan" if lan.good else "loopback" if loopback.good else ""
    checks = [check_python(), lan, loopback, *map(check_optional, OPTIONAL)]
    if as_json:
        print(json.dumps({"network": network, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        for check in checks:
            mark = {True: "yes", False: "NO", None: "-"}[check.good]
            print(f"{mark:>4}  {check.what}: {check.says}")
        print(f"\nThe lab will run on: {network or 'nothing; see above'}" + _how_to_choose(network))
    return 0 if network else 1


def _how_to_choose(network: str) -> str:
    return " (NETWORK=loopback chooses the other)" if network == "lan" else ""


def check_python() -> Check:
    """The interpreter and what is installed in it."""
    missing = []
    for package in ("msgspec", "scapy", "rich", "prompt_toolkit", "dnslib", "pyte", "click"):
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    says = f"{platform.python_version()} at {sys.prefix}"
    return Check("Python", not missing, f"missing {', '.join(missing)}; run: make clean help" if missing else says)


def check_lan() -> Check:
    """Build a LAN, for real, and take it down."""
    started = time.perf_counter()
    try:
        lan = Lan.build()
    except LabError as why:
        return Check("LAN (network namespaces)", False, str(why))
    built = time.perf_counter() - started
    lan.close()
    return Check(
        "LAN (network namespaces)", True, f"{len(lan.hosts)} hosts built in {built * 1000:.0f} ms, without root"
    )


def check_loopback() -> Check:
    """The addresses that the loopback network needs."""
    for address in (f"{PUBLIC}.0.10", f"{PRIVATE}.0.10"):
        with socket.socket() as sock:
            try:
                sock.bind((address, 0))
            except OSError as error:
                return Check("loopback", False, f"{address} cannot be used ({error.strerror})")
    return Check("loopback", True, f"{PUBLIC}.x.x and {PRIVATE}.x.x can be used")


def check_optional(command: str) -> Check:
    """A program that is nice to have."""
    path = shutil.which(command, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    return Check(command, True if path else None, f"{OPTIONAL[command]}" + ("" if path else " (not installed)"))
