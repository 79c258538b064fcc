"""What people wait for: the client's prompt, the matrix.

    python -m benchmarks people

The prompt: the client of stage 1 is started in a terminal of its own (pty(7)) by a person who has `.venv` already, and
what it writes is read until the prompt is there. The matrix: `lab matrix`, all cells. The demo from a clean clone takes
its libraries from the package registry, so no run that must be repeatable does it; nor the whole test suite.
"""

import os
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks import peers
from benchmarks.rows import Result, Row, Tell
from common.errors import LabError

ROUNDS: Final = 5
PROMPT: Final = b"alice>"
PATIENCE: Final = 20.0
LINE_EDITOR: Final = "import prompt_toolkit.patch_stdout, prompt_toolkit.key_binding, prompt_toolkit"
ROOT: Final = Path(__file__).parents[1]
BUSY: Final = "The machine is shared; the figure is of the clock, not of the processor."


def prompt(port: int, folder: Path) -> float:
    """Seconds until somebody can type. Raises LabError where the prompt never comes."""
    words = ["-m", "stages.stage1_plaintext.client", "--name", "alice", "--server", f"127.0.0.1:{port}"]
    began = time.monotonic()
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execve(  # noqa: S606 - the client itself is what is to be started
            sys.executable, [sys.executable, *words], {**os.environ, "XDG_DATA_HOME": str(folder), "TERM": "xterm"}
        )
    shown = b""
    try:
        while PROMPT not in shown:
            ready, _, _ = select.select([terminal], [], [], PATIENCE)
            if not ready or not (came := os.read(terminal, 1 << 16)):
                raise LabError(f"The client's prompt did not come; it showed: {shown[-200:].decode(errors='replace')}")
            shown += came
        return time.monotonic() - began
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def imported(statement: str) -> float:
    """Seconds of the clock that an import takes in a fresh Python, beyond what asyncio takes, which is there anyway."""
    program = "import asyncio, time; began = time.perf_counter(); " + statement + "; print(time.perf_counter() - began)"
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


def matrix() -> float:
    """Seconds that the matrix takes. Raises LabError where it goes wrong."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "lab", "matrix"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        raise LabError(f"The matrix is not as it should be: {(done.stderr or done.stdout).strip()[-200:]}")
    return time.monotonic() - began


def result(say: Tell) -> Result:
    """All that a run can measure. Raises LabError."""
    made = Result(limits="No limits are set.")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, peers.lab(Path(name)) as peer:
        say("The prompt.")
        rounds = [(prompt(peer.port, Path(name)), imported(LINE_EDITOR)) for _ in range(ROUNDS + 1)][
            1:
        ]  # disks are slow
        waited, editor = (statistics.median(times) for times in zip(*rounds, strict=True))
        why = f"Of it, {editor:.2f} s is the import of the line editor, prompt_toolkit, and what that imports. {BUSY}"
        made.rows.append(Row(name="the prompt", ours=waited, unit="s", target="prompt", why=why))
    say("The matrix.")
    made.rows.append(Row(name="the matrix", ours=matrix(), unit="s", target="matrix", why=BUSY))
    return made
