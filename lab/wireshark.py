"""A run's capture in Wireshark, with the dissector; and, through tshark, its messages in Python, those in TLS as well.

lab wireshark                        the last run's capture
lab wireshark room.pcapng            a capture

from lab.wireshark import decrypted
for number, heard in decrypted(Path("runs/…/sniffer-room.with-secrets.pcapng")):
    print(number, heard.source, heard.summary)
"""

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attacks.listener import Heard, declared
from common.errors import LabError
from common.files import write_whole
from common.text import printable
from lab.capture import WITH_SECRETS
from lab.dissector import lua
from lab.facts import CLIENT_FILE

RUNS: Final = Path("runs")
SCRIPT: Final = RUNS / "lab.lua"
COLUMNS: Final = ("frame.number", "ip.src", "ip.dst")
PORTS: Final = ("tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport")


def show(file: str) -> int:
    """Open a capture, or the last run's, where Wireshark is; say what to type in any case. Returns an exit status.

    Raises LabError where there is no such capture.
    """
    capture = preferred(Path(file) if file else last_capture())
    RUNS.mkdir(exist_ok=True)
    write_lua(SCRIPT)
    window = ["wireshark", "-X", f"lua_script:{SCRIPT}", _no_option(capture)]
    lines = ["tshark", "-X", f"lua_script:{SCRIPT}", "-r", _no_option(capture), "-Y", "lab"]
    there = shutil.which("wireshark")
    print("In Wireshark:   " + printable(shlex.join(window)))
    print("In a terminal:  " + printable(shlex.join(lines)))
    if there is None:
        print("Wireshark is not installed here (Debian, Ubuntu: sudo apt install wireshark).")
        return 0
    return subprocess.run([there, *window[1:]], check=False).returncode


def _no_option(capture: Path) -> str:
    """Its name, which a program may not take for an option of its own."""
    return f"./{capture}" if str(capture).startswith("-") else str(capture)


def write_lua(path: Path) -> None:
    """Write the dissector there. Raises LabError."""
    write_whole(path, lua().encode(), mode=0o644)


def last_capture() -> Path:
    """The capture of the last run's first attack, of its control run, or of client 1's card. Raises LabError where
    there is no run."""
    for folder in sorted(RUNS.glob("*/"), reverse=True):
        found = [folder / name for name in (*_judged(folder / "verdicts.json"), "control.pcapng", CLIENT_FILE)]
        for capture in found:
            if capture.is_file():
                return capture
    raise LabError("There is no run with a capture yet; make one, for example with: make stage-1 sniffer")


def _judged(verdicts: Path) -> list[str]:
    """The captures that a run's verdicts name, in their order."""
    try:
        cells = json.loads(verdicts.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return []
    return [cell["capture"] for cell in cells if cell["capture"]]


def preferred(capture: Path) -> Path:
    """The copy with the TLS secrets, where one stands beside this capture. Raises LabError where neither is there."""
    if not capture.is_file():
        raise LabError(f"There is no capture {capture}; give a pcap or pcapng file, or none for the last run's.")
    copy = capture.with_suffix(WITH_SECRETS)
    return copy if copy.is_file() else capture


def decrypted(path: Path) -> Iterator[tuple[int, Heard]]:
    """Every message in a capture, with the number of the frame that completes it: also those inside TLS, where the
    capture has the secrets in it. tshark opens them, and puts the streams together.

    Raises LabError where tshark is missing or the file is no capture.
    """
    for row in _rows(path):
        number, source, target, *ports, lines = row.split("\t")
        transport = "TCP" if ports[0] else "UDP"
        sport, dport = ports[:2] if ports[0] else ports[2:]
        for line in lines.split(","):
            fields = declared(bytes.fromhex(line.replace(":", "")))
            if fields is not None:
                yield int(number), Heard((source, int(sport)), (target, int(dport)), transport, fields)


def _rows(path: Path) -> list[str]:
    """What tshark prints of each frame that has a message in it."""
    tool = shutil.which("tshark")
    if tool is None:
        raise LabError("Messages inside TLS are opened by tshark; install it with: sudo apt install tshark")
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        script = Path(folder) / "lab.lua"
        script.write_text(lua(), encoding="utf-8")
        command = [tool, "-X", f"lua_script:{script}", "-r", str(path), "-Y", "lab.line", "-T", "fields"]
        for name in (*COLUMNS, *PORTS, "lab.line"):
            command += ["-e", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.splitlines() or ["it does not say why"])[-1].rstrip(".")
        raise LabError(f"tshark cannot read {path} ({why}); give a pcap or pcapng file.")
    return done.stdout.splitlines()
