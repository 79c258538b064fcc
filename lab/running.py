"""The LANs that run now: how they are found from another terminal, and how they are asked.

Each has a folder of its own, which only its person can open (0700), in XDG_RUNTIME_DIR or else in /tmp, and in it a
socket on which its owner, the program that was started as `make lan`, answers: it hands over a host's namespaces, or a
packet socket. The owner holds a lock on the folder for as long as it lives, so whether a LAN still runs is the
kernel's word and no number of a process, which might be another's by now.

What lies in a folder that belongs to somebody else, or that others may open, is never looked at.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from common import lan_enter
from common.errors import LabError

PREFIX: Final = "progressive-security-lab"
Answer = tuple[dict[str, Any], list[int]]
"""What is said, and descriptors that are handed over; whoever gives an answer leaves their closing to us."""


@dataclass(frozen=True)
class About:
    """What is known of a running LAN without asking it."""

    id: str
    stage: int
    since: str
    """The time of day at which it was started."""


@dataclass(frozen=True)
class Running:
    """A LAN that runs, of this person."""

    folder: Path
    about: About

    @property
    def control(self) -> str:
        """Where its owner answers."""
        return str(self.folder / "control")

    @contextlib.contextmanager
    def asked(self, **request: Any) -> Iterator[tuple[socket.socket, dict[str, Any], list[int]]]:
        """Ask its owner: the connection, which ends when the LAN does, the answer, and descriptors. Raises LabError."""
        with contextlib.ExitStack() as connection:
            try:
                owner = connection.enter_context(lan_enter.connect(self.control))
                answer, descriptors = lan_enter.ask(owner, **request)
            except lan_enter.Refused as why:
                raise LabError(str(why)) from None
            except OSError as error:
                raise LabError(f"LAN {self.about.id} does not answer ({error}); has it been stopped?") from None
            yield owner, answer, descriptors


def _private(folder: Path) -> bool:
    """Is this a folder of ours that nobody else can open?"""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _place() -> Path:
    """Where the folders of running LANs are."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(given) if given and _private(Path(given)) else Path("/tmp")  # noqa: S108 - see _private


def _lock(folder: Path, kind: int = fcntl.LOCK_EX) -> int:
    """Hold the folder until this process ends; -1 where another process does. Whoever only looks shares it with others
    who look, and so takes none of them for an owner."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    return descriptor


def _beginning() -> str:
    return f"{PREFIX}-{os.geteuid()}-"


@contextlib.contextmanager
def folder_of_its_own(stage: int, since: str) -> Iterator[tuple[Path, About]]:
    """A folder for a LAN that begins, until the block ends. It has its lock before anybody can find it.

    Raises LabError.
    """
    about = About(secrets.token_hex(2), stage, since)
    folder = _place() / f"{_beginning()}{about.id}"
    unfinished = folder.with_name("." + folder.name)
    try:
        unfinished.mkdir(mode=0o700)
        try:
            lock = _lock(unfinished)
            (unfinished / "about").write_text(json.dumps(asdict(about)))
            unfinished.rename(folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    except OSError as error:
        raise LabError(f"{folder} cannot be made ({error.strerror}); is there room, and may you write there?") from None
    try:
        yield folder, about
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def all_running() -> list[Running]:
    """Every LAN of this person's that runs; what a killed one left is removed."""
    found = []
    for folder in sorted(_place().glob(_beginning() + "*")):
        if not _private(folder):
            continue
        try:
            lock = _lock(folder, fcntl.LOCK_SH)
            if lock < 0:
                found.append(Running(folder, About(**json.loads((folder / "about").read_text()))))
                continue
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
        except FileNotFoundError:  # it ended while we looked
            continue
        except (ValueError, TypeError):  # it is of another version of the lab
            continue
    return found


def chosen(wanted: str = "") -> Running:
    """The LAN of this id, or the only one that runs. Raises LabError."""
    there = all_running()
    if not there:
        raise LabError("No LAN of yours is running; start one in another terminal: make lan")
    listed = ", ".join(f"{r.about.id} (stage {r.about.stage}, since {r.about.since})" for r in there)
    if not wanted and len(there) > 1:
        raise LabError(f"{len(there)} LANs of yours are running; choose one with --lab: {listed}.")
    for running in there:
        if wanted in ("", running.about.id):
            return running
    raise LabError(f"No LAN {wanted} of yours is running; there are: {listed}.")


class Control:
    """The owner's side: answers whoever asks, as long as they are the same person."""

    def __init__(self, folder: Path, answers: Callable[[dict[str, Any]], Answer]) -> None:
        self._answers = answers
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._listener.bind(f"/proc/self/fd/{there}/control")
        os.close(there)
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._spawn(self._accept())

    def close(self) -> None:
        """Answer nobody any more; whoever is still connected is told by that."""
        for task in self._tasks:
            task.cancel()
        self._listener.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self._spawn(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        """One request, one answer; then the connection stays, so that its end says that the LAN has ended."""
        loop = asyncio.get_running_loop()
        with connection, contextlib.suppress(ConnectionError):
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            if struct.unpack("3i", peer)[1] != os.geteuid():  # the folder is closed to others; this stops its sharing
                return
            answer, descriptors = self._answer(await loop.sock_recv(connection, 4096))
            try:
                socket.send_fds(connection, [json.dumps(answer).encode()], descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
            await loop.sock_recv(connection, 1)

    def _answer(self, request: bytes) -> Answer:
        try:
            return self._answers(json.loads(request or "{}"))
        except (LabError, OSError, ValueError) as error:
            return {"refused": str(error)}, []
