"""Where the learner's code runs: limits, and on Linux namespaces and a view of files of its own.

Two walls, one inside the other. The outer one (`namespaces`, `enter`) holds all programs of a check: users, processes,
mounts and an empty network of their own, and a root folder in which there is nothing but what is listed: Python, its
libraries, `common/` and the submission, all of it read-only. The inner one (`apart`) holds one program: it sees no
other process, shares no memory, no socket and no folder with another program of the same submission, so that Alice's
client has no way to Bob's but the wire. A folder that all see is in a layer of its own for each, and so are its locks.
Privileges are given up, and most ways into the kernel refused (`syscalls`), before the learner's code is imported.

Where the machine forbids any of it, limits and refused calls remain, and the grade says that it was not isolated.

What is not stopped: two programs that measure how busy the machine is can signal a few bits to each other.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import resource
import struct
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from lab.exercise import syscalls

MEGABYTE: Final = 1 << 20
CPU_SECONDS: Final = 20
MEMORY_BYTES: Final = 512 * MEGABYTE
ADDRESS_BYTES: Final = 4096 * MEGABYTE
"""Threads reserve much that they never use."""
FILE_BYTES: Final = MEGABYTE
FOLDER_BYTES: Final = 8 * MEGABYTE
FOLDER_FILES: Final = 500
FILES: Final = 256
THREADS: Final = 64
COUNTED_APART: Final = (5, 14)
"""From this kernel on the processes of a user namespace are counted by themselves."""

NEW_USER, NEW_PID, NEW_MOUNTS, NEW_NETWORK, NEW_IPC = 0x10000000, 0x20000000, 0x00020000, 0x40000000, 0x08000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 0x1, 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x40000
MNT_DETACH: Final = 0x2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
CAPABILITY_VERSION_3: Final = 0x20080522
MOUNT_SETATTR, MOUNT_ATTR_RDONLY, AT_FDCWD, AT_RECURSIVE = 442, 0x1, -100, 0x8000
SIGKILL: Final = 9


def limits(*, isolated: bool) -> None:
    """What this process and all that it starts may take at most."""
    wanted = [
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_AS, ADDRESS_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_CORE, 0),
    ]
    kernel = tuple(int(part) for part in platform.release().split(".")[:2] if part.isdigit())
    if isolated and kernel >= COUNTED_APART:
        wanted.append((resource.RLIMIT_NPROC, THREADS))
    for which, most in wanted:
        with contextlib.suppress(ValueError, OSError):  # a limit that this system does not have, or a lower one is set
            resource.setrlimit(which, (most, most))


HOME: Final = Path("/lab-home")
"""Where a program has what it writes: in memory, and its own."""
HOMES: Final = Path("/lab-homes")
GIVEN: Final = Path("/lab-given")
"""Where all programs have what they are given: the submission, and what its probes need there."""
EMPTY: Final = Path("/lab-empty")
SPECIAL: Final = re.compile(r"([:,\\])")
"""What has a meaning in the options of an overlay."""
DEVICES: Final = (Path("/dev/null"), Path("/dev/urandom"))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def namespaces() -> str:
    """Enter namespaces of its own; return why not, where that fails. Whoever is forked next is in all of them."""
    if sys.platform != "linux":
        return "this needs Linux"
    pid = os.fork()  # whether it is allowed is found out by somebody else: half of it could not be taken back
    if pid == 0:
        try:
            _new(NEW_USER | NEW_PID | NEW_MOUNTS | NEW_NETWORK | NEW_IPC)
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        return "this machine forbids namespaces of one's own (see make doctor)"
    _new(NEW_USER | NEW_PID | NEW_MOUNTS | NEW_NETWORK | NEW_IPC)
    return ""


def _new(flags: int) -> None:
    """Namespaces of one's own; with a new one of users, in which the user is itself. Raises OSError."""
    uid, gid = os.geteuid(), os.getegid()
    if _libc().unshare(flags):
        raise OSError(ctypes.get_errno(), "namespaces of one's own")
    if flags & NEW_USER:
        for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path(f"/proc/self/{file}").write_text(text)


def die_with_parent() -> None:
    """End when the process that started this one ends, however it does."""
    _libc().prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


def _mount(on: Path | str, kind: str, flags: int, options: str = "", what: Path | str = "lab") -> None:
    """Raises OSError."""
    if _libc().mount(str(what).encode(), str(on).encode(), kind.encode(), flags, options.encode()):
        raise OSError(ctypes.get_errno(), f"mounting {kind or what} on {on}")


def enter(root: Path, visible: Mapping[Path, Path]) -> str:
    """As process 1 of the outer namespaces: make `root` the root folder, in which only these folders are, each at its
    path, read-only. Returns why not, where that fails."""
    die_with_parent()
    try:
        _mount("/", "", MS_REC | MS_PRIVATE)
        _mount(root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
        for link in (path for path in map(Path, ("/lib", "/lib64")) if path.is_symlink()):
            _in(root, link).symlink_to(link.readlink())
        for folder in (HOME, HOMES, EMPTY, Path("/proc"), Path("/dev")):
            _in(root, folder).mkdir()
        for device in DEVICES:
            _in(root, device).touch()
            _mount(_in(root, device), "", MS_BIND, what=device)
        for at, place in visible.items():
            _in(root, at).mkdir(parents=True, exist_ok=True)
            _mount(_in(root, at), "", MS_BIND | MS_REC, what=place)
        _read_only(root)
        _mount(_in(root, HOMES), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755")
        _mount(_in(root, Path("/proc")), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        _move_to(root)
    except OSError as error:
        return f"{error.strerror or error} is forbidden here"
    return ""


def _in(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _read_only(root: Path) -> None:
    """All that is mounted there by now. Raises OSError."""
    how = struct.pack("=QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    if _libc().syscall(MOUNT_SETATTR, AT_FDCWD, str(root).encode(), AT_RECURSIVE, how, len(how)):
        raise OSError(ctypes.get_errno(), "making all files read-only")


def _move_to(root: Path) -> None:
    """Nothing of the old root can be reached after this (pivot_root(2)). Raises OSError."""
    os.chdir(root)
    if _libc().pivot_root(b".", b".") or _libc().umount2(b".", MNT_DETACH):
        raise OSError(ctypes.get_errno(), "another root folder")
    os.chdir("/")


def next_apart() -> int:
    """Whoever is forked next is process 1 of its own processes. Returns what `next_beside` wants; raises OSError."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    if _libc().unshare(NEW_PID):
        raise OSError(ctypes.get_errno(), "a namespace of processes")
    return own


def next_beside(own: int) -> None:
    """Whoever is forked next is among one's own processes again. Raises OSError."""
    if _libc().setns(own, NEW_PID):
        raise OSError(ctypes.get_errno(), "going back to one's own processes")
    os.close(own)


def new_home(name: str) -> None:
    """A folder in memory for a program. Raises OSError."""
    place = HOMES / name
    place.mkdir()
    options = f"size={FOLDER_BYTES},nr_inodes={FOLDER_FILES},mode=700"
    _mount(place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options)


def no_home(name: str) -> None:
    """Throw it away, with what is in it."""
    _libc().umount2(str(HOMES / name).encode(), MNT_DETACH)


def apart(home: str, shared: Iterable[Path]) -> str:
    """As process 1 of a program's own processes: what it writes is at HOME, and it shares nothing with others. Returns
    what it does share with them, where that cannot be helped; raises OSError."""
    _new(NEW_USER | NEW_MOUNTS | NEW_NETWORK | NEW_IPC)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    _mount("/", "", MS_REC | MS_PRIVATE)
    _mount(HOME, "", MS_BIND, what=HOMES / home)
    missing = ""
    try:
        for place in shared:  # a lock on a file is seen by all who have that file: a layer has files of its own
            lower = SPECIAL.sub(r"\\\1", str(place))
            _mount(place, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, f"lowerdir={lower}:{EMPTY}")
    except OSError:
        missing = "this kernel has no layers of folders (overlay), so locks on files can be seen by all programs"
    for folder in (HOMES, Path("/proc")):
        _mount(folder, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=0")
    return missing


def give_up_all_privileges(capabilities: int) -> str:
    """Or the learner's code could undo it: they are privileges over its own namespaces. Returns why calls into the
    kernel cannot be refused, where that is so; raises OSError."""
    libc = _libc()
    for capability in range(capabilities + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.capset(struct.pack("=Ii", CAPABILITY_VERSION_3, 0), struct.pack("=6I", *[0] * 6)):
        raise OSError(ctypes.get_errno(), "giving up privileges")
    return syscalls.refuse(libc)


def last_capability() -> int:
    """The highest number of a privilege that this kernel knows."""
    return int(Path("/proc/sys/kernel/cap_last_cap").read_text())
