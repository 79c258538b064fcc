"""The child: imports the learner's package under limits, and forks a program for each person.

    python -I -B child.py SOCKET REPOSITORY FOLDER [--no-namespaces]

It is given orders by `lab.exercise.nursery` and holds nothing of the bench: no canary, no screen, no referee, no other
person's words. What its programs have to say is said in the messages of `lines`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[2])

import msgspec

from common.errors import LabError
from lab.exercise import jail, lines
from lab.exercise.lines import encode
from lab.exercise.person import PACKAGE, failed, program

if TYPE_CHECKING:
    from types import ModuleType

GIVEN: Final = "given"
"""The folder of what the learner's code is to have: the learner's package and, at some stages, AUTHORITIES."""
AUTHORITIES: Final = "authorities.pem"
"""What takes the place of the authorities that this machine trusts."""
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - in a namespace of our own; what the bench keeps there is hidden by it
HIDDEN: Final = (".git", "attacks", "audits", "lab", "runs", "stages", "tests")
"""Folders of the repository that are not there for the learner's code: the reference solutions, and what judges."""


def load(root: Path) -> None:
    """Import the learner's package: all of its files, so that what cannot be imported is found now."""
    spec = importlib.util.spec_from_file_location(PACKAGE, root / "__init__.py", submodule_search_locations=[str(root)])
    if spec is None or spec.loader is None:
        raise LabError(f"{root} is no package")
    package: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    spec.loader.exec_module(package)
    for file in sorted(root.glob("*.py")):
        if file.stem != "__init__":
            importlib.import_module(f"{PACKAGE}.{file.stem}")


def nursery(orders: socket.socket, ready: lines.Ready) -> None:
    """Process 1 of the namespaces: carry out orders until the bench closes its end."""
    there = os.open(ready.place, os.O_RDONLY | os.O_DIRECTORY)
    socket.send_fds(orders, [encode(ready)], [there])
    os.close(there)
    decoder = msgspec.json.Decoder(lines.ToNursery)
    running: dict[int, int] = {}
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, lines.LINE_BYTES, 1)
        if not data:
            return
        _bury(running)
        match decoder.decode(data):
            case lines.Import():
                try:
                    load(Path(ready.place) / GIVEN / PACKAGE)
                except BaseException as error:  # sys.exit() is one
                    orders.send(encode(failed(error)))
                else:
                    orders.send(encode(lines.Imported()))
            case lines.Fork(number=number):
                sock = socket.socket(fileno=descriptors[0])
                pid = os.fork()
                if pid == 0:
                    orders.close()
                    program(sock)
                sock.close()
                running[pid] = number
            case lines.Kill(number=number):
                for pid in [pid for pid, of in running.items() if of == number]:
                    os.kill(pid, signal.SIGKILL)


def _bury(running: dict[int, int]) -> None:
    """Forget those that have ended, before their numbers are given to others."""
    with contextlib.suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            running.pop(pid, None)


def main() -> None:
    """Jail first, then the learner's code, from a copy: what it was copied from is out of reach then."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    repository, folder = Path(sys.argv[2]), Path(sys.argv[3])
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != repository.resolve()]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the bench
    given = {path.relative_to(folder): path.read_bytes() for path in (folder / GIVEN).rglob("*") if path.is_file()}
    place = folder / "scratch"
    why_not = jail.namespaces() if len(sys.argv) < 5 else "it was asked for without"
    if not why_not:
        jail.die_with_parent()
        pid = os.fork()
        if pid:
            orders.close()
            os.waitpid(pid, 0)  # when process 1 ends, the kernel has ended all others of the namespace
            return
        own = MEMORY if MEMORY in folder.parents else place
        why_not = jail.close(own, [repository / name for name in HIDDEN])
        place = place if why_not else own
    jail.limits(isolated=not why_not)
    for path, data in given.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(data)
    if (place / GIVEN / AUTHORITIES).exists():
        os.environ["SSL_CERT_FILE"] = str(place / GIVEN / AUTHORITIES)
    os.environ["TMPDIR"] = str(place)
    os.chdir(place)
    nursery(orders, lines.Ready(not why_not, why_not[:300], str(place)))


if __name__ == "__main__":
    main()
