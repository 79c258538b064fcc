"""The child: forks a program for each person, under limits and apart from all others.

    python -I -B child.py SOCKET REPOSITORY FOLDER [--no-namespaces]

It is given orders by `lab.exercise.nursery`, and never runs a line of the learner's: each program imports the
submission itself, when it is shut in. So no thread, no open file and no patched module of one program is ever in
another, and nothing that the learner's code does can answer in this process's place. It holds nothing of the bench: no
canary, no screen, no referee. What its programs have to say is said in the messages of `lines`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import py_compile
import resource
import select
import signal
import socket
import ssl
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[2])

import msgspec

from lab.exercise import jail, lines
from lab.exercise.lines import encode
from lab.exercise.person import PACKAGE, program

GIVEN: Final = "given"
"""The folder of what the learner's code is to have: the learner's package and, at some stages, AUTHORITIES."""
AUTHORITIES: Final = "authorities.pem"
"""What takes the place of the authorities that this machine trusts."""
NEEDED: Final = (
    "common.command_line",
    "common.files",
    "common.threads",
    "common.what_if.display_raw",
    "common.what_if.framing_none",
    "cryptography.hazmat.primitives.asymmetric.x25519",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.hkdf",
    "cryptography.hazmat.primitives.serialization",
    "cryptography.x509",
    "nacl.public",
    "nacl.pwhash",
    "nacl.utils",
    "sqlite3",
)
"""What the stages import: done once, before anybody is forked, where the submission names it at all."""
LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
COMPILE_SECONDS: Final = 4
MOST_DESCRIPTORS: Final = 1 << 16
WATCH_SECONDS: Final = 0.2
MOST_RESIDENT: Final = 700 * jail.MEGABYTE
MOST_TOGETHER: Final = 2048 * jail.MEGABYTE
"""What one program, and all of them together, may have in memory."""


def visible(repository: Path, folder: Path) -> dict[Path, Path]:
    """The folders that a program sees, and where they are: of the repository its ground floor only, and no stage."""
    python = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    places = {*(Path(path).resolve() for path in LIBRARIES), *map(Path, python), repository / "common"}
    there = {path: path.resolve() for path in sorted(places) if path.is_dir()}
    whole = {at: place for at, place in there.items() if not any(other in at.parents for other in there)}
    return whole | {jail.GIVEN: folder / GIVEN}


def compiled(package: Path) -> None:
    """Compile the submission once, for all programs; what cannot be compiled tells so when it is imported. In a process
    of its own, since there are texts on which a compiler takes forever, or falls."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (COMPILE_SECONDS, COMPILE_SECONDS))
        jail.limits(isolated=False)
        for file in package.rglob("*.py"):
            with contextlib.suppress(Exception):
                unchanged = py_compile.PycInvalidationMode.UNCHECKED_HASH
                py_compile.compile(str(file), doraise=True, quiet=2, invalidation_mode=unchanged)
        os._exit(0)
    os.waitpid(pid, 0)


@dataclass
class Nursery:
    """Carries out orders, as process 1 of the outer namespaces where there are any."""

    orders: socket.socket
    folder: Path
    walled: bool
    """Is this within the outer wall?"""
    shared: list[Path]
    """The folders that all programs see."""
    why_not: str = ""
    """Why grading is not isolated, where it is not."""
    apart: bool = False
    """Is every program behind an inner wall of its own?"""
    capabilities: int = 0
    running: dict[int, int] = field(default_factory=dict)
    """By process id, the numbers of programs."""
    homes: set[str] = field(default_factory=set)

    def serve(self) -> None:
        """Carry out orders until the bench closes its end."""
        decoder = msgspec.json.Decoder(lines.ToNursery)
        while True:
            if not select.select([self.orders], [], [], WATCH_SECONDS if self.running else None)[0]:
                self.watch()
                continue
            data, descriptors, _, _ = socket.recv_fds(self.orders, lines.LINE_BYTES, 2)
            if not data:
                return
            self.bury()
            match decoder.decode(data):
                case lines.Fork(number=number, home=home):
                    self.fork(number, home, *descriptors)
                case lines.Kill(number=number):
                    for pid in [pid for pid, of in self.running.items() if of == number]:
                        os.kill(pid, signal.SIGKILL)
                case lines.Clear(homes=prefix):
                    for home in [home for home in self.homes if home.startswith(prefix)]:
                        self.homes.discard(home)
                        if self.walled:
                            jail.no_home(home)

    def fork(self, number: int, home: str, sock: int, printed: int) -> None:
        """Start a program. Where it cannot be shut in, it says so itself."""
        own = self._before(home)
        pid = os.fork()
        if pid == 0:
            self.orders.detach()
            bench = _only(sock, printed)
            try:
                self.shut_in(home)
            except OSError as error:
                bench.send(encode(lines.Failed(type(error).__name__, str(error)[:300])))
                os._exit(1)
            program(bench, self.given)
        if self.apart:
            jail.next_beside(own)
        os.close(sock)
        os.close(printed)
        self.running[pid] = number

    def _before(self, home: str) -> int:
        """A home, and where programs are apart, processes of its own for whoever is forked next. Raises OSError."""
        if home not in self.homes:
            jail.new_home(home) if self.walled else (self.scratch / home).mkdir()
            self.homes.add(home)
        return jail.next_apart() if self.apart else -1

    @property
    def given(self) -> Path:
        """Where the programs have what they are given."""
        return jail.GIVEN if self.walled else self.folder / GIVEN

    @property
    def scratch(self) -> Path:
        """Where the homes are: `shut_in` puts a program's own at HOME, where programs are apart."""
        return jail.HOMES if self.walled else self.folder / "scratch"

    def shut_in(self, home: str) -> str:
        """In a program's process, before anything of the learner's is there: the inner wall. Returns what is missing
        of it; raises OSError."""
        missing = jail.apart(home, self.shared) if self.apart else ""
        place = jail.HOME if self.apart else self.scratch / home
        os.chdir(place)
        os.environ["TMPDIR"] = str(place)
        jail.limits(isolated=self.apart)
        return missing or (jail.give_up_all_privileges(self.capabilities) if self.capabilities else "this needs Linux")

    def try_apart(self) -> None:
        """Find out, by a program that does nothing else, whether programs can be apart."""
        reading, writing = os.pipe()
        self.apart = True
        try:
            own = self._before("trial")
        except OSError as error:
            self.apart, self.why_not = False, f"{error.strerror} is forbidden here"
            return
        pid = os.fork()
        if pid == 0:
            try:
                told = lines.Tried(True, self.shut_in("trial"))
            except OSError as error:
                told = lines.Tried(False, f"{error.strerror} is forbidden here")
            os.write(writing, encode(told))
            os._exit(0)
        jail.next_beside(own)
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            tried = msgspec.json.decode(answer.read(), type=lines.Tried)
        os.waitpid(pid, 0)
        self.apart, self.why_not = tried.apart, tried.why_not

    def bury(self) -> None:
        """Forget those that have ended, before their numbers are given to others."""
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                self.running.pop(pid, None)

    def watch(self) -> None:
        """End a program that has more threads or memory than one may, and the largest of too many."""
        self.bury()
        taken = {pid: _taken(pid) for pid in self.running}
        together = sum(size for _, size in taken.values())
        for pid, (threads, size) in sorted(taken.items(), key=lambda each: each[1][1], reverse=True):
            if threads > jail.THREADS or size > MOST_RESIDENT or together > MOST_TOGETHER:
                os.kill(pid, signal.SIGKILL)
                together -= size


def _taken(pid: int) -> tuple[int, int]:
    """How many threads a process has, and how many bytes of memory (proc_pid_stat(5), fields 20 and 24)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[17]), int(fields[21]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0, 0


def _only(sock: int, printed: int) -> socket.socket:
    """Close whatever this process has open, but its own socket and what it prints into."""
    nothing = os.open(os.devnull, os.O_RDONLY)  # opened anew: what several programs have open in common, they can set
    for now, to in ((nothing, 0), (printed, 1), (printed, 2), (sock, 3)):
        os.dup2(now, to)
    os.closerange(4, MOST_DESCRIPTORS)
    return socket.socket(fileno=3)


def main() -> None:
    """The outer wall, then orders."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    repository, folder = Path(sys.argv[2]), Path(sys.argv[3])
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != repository.resolve()]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the bench
    sources = b"".join(file.read_bytes() for file in (folder / GIVEN / PACKAGE).rglob("*.py"))
    for name in NEEDED:
        if name.partition(".")[0].encode() in sources:
            importlib.import_module(name)
    compiled(folder / GIVEN / PACKAGE)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the library reads its configuration, which no program sees
    seen = visible(repository, folder)
    why_not = jail.namespaces() if len(sys.argv) < 5 else "it was asked for without"
    if not why_not:
        jail.die_with_parent()
        pid = os.fork()
        if pid:
            orders.close()
            os.waitpid(pid, 0)  # when process 1 ends, the kernel has ended all others of the namespace
            return
        why_not = jail.enter(folder / "root", seen)
    nursery = Nursery(orders, folder, not why_not, list(seen), why_not)
    if sys.platform == "linux":
        nursery.capabilities = jail.last_capability()
    if nursery.walled:
        nursery.try_apart()
    if (nursery.given / AUTHORITIES).exists():
        os.environ["SSL_CERT_FILE"] = str(nursery.given / AUTHORITIES)
    place = f"{nursery.scratch}/{{home}}" if not nursery.apart else str(jail.HOME)
    orders.send(encode(lines.Ready(not nursery.why_not, nursery.why_not[:300], place)))
    gc.freeze()  # or each program's collector would touch, and so copy, all that was imported here
    nursery.serve()


if __name__ == "__main__":
    main()
