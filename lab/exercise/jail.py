"""Where the learner's code runs: limits, and on Linux namespaces of its own.

Its own users, processes, mounts and network: the network is empty (sockets are handed in by the bench), every file of
the machine is read-only, the reference solutions and what the bench writes are not there at all, and it keeps what it
writes in memory. All privileges over these namespaces are given up before the learner's code is imported, so that it
cannot undo any of it.
Where the machine forbids such namespaces, only the limits remain, and the grade says that it was not isolated.

What is not stopped: reading what the person who grades can read (nothing of it can be sent anywhere from an empty
network), and, where root grades, starting many processes until the check ends them all. Without namespaces a process
that the learner's code starts in a session of its own outlives the check.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

MEGABYTE: Final = 1 << 20
CPU_SECONDS: Final = 20
MEMORY_BYTES: Final = 512 * MEGABYTE
ADDRESS_BYTES: Final = 4096 * MEGABYTE
"""Threads reserve much that they never use."""
FILE_BYTES: Final = MEGABYTE
FOLDER_BYTES: Final = 64 * MEGABYTE
FILES: Final = 256
PROCESSES: Final = 64
COUNTED_APART: Final = (5, 14)
"""From this kernel on the processes of a user namespace are counted by themselves."""

NEW: Final = {"user": 0x10000000, "pid": 0x20000000, "mnt": 0x00020000, "net": 0x40000000, "ipc": 0x08000000}
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x4000, 0x40000
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
        wanted.append((resource.RLIMIT_NPROC, PROCESSES))
    for which, most in wanted:
        with contextlib.suppress(ValueError, OSError):  # a limit that this system does not have, or a lower one is set
            resource.setrlimit(which, (most, most))


def namespaces() -> str:
    """Enter namespaces of its own; return why not, where that fails. Whoever is forked next is in all of them."""
    if sys.platform != "linux":
        return "this needs Linux"
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    every = sum(NEW.values())
    pid = os.fork()  # whether it is allowed is found out by somebody else: half of it could not be taken back
    if pid == 0:
        os._exit(0 if libc.unshare(every) == 0 and _mapped(uid, gid) else 1)
    if os.waitpid(pid, 0)[1]:
        return "this machine forbids namespaces of one's own (see make doctor)"
    libc.unshare(every)
    _mapped(uid, gid)
    return ""


def _mapped(uid: int, gid: int) -> bool:
    """The user is itself in there, too."""
    try:
        for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path(f"/proc/self/{file}").write_text(text)
    except OSError:
        return False
    return True


def die_with_parent() -> None:
    """End when the process that started this one ends, however it does."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


def close(folder: Path, hidden: Iterable[Path]) -> str:
    """As process 1 of the namespaces: read-only files, an empty folder in memory, no privileges left.

    Returns why not, where that fails.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    die_with_parent()

    def mount(on: Path | str, kind: str, flags: int, options: str = "") -> None:
        if libc.mount(b"lab", str(on).encode(), kind.encode(), flags, options.encode()):
            raise OSError(ctypes.get_errno(), f"mounting {kind} on {on}")

    read_only = struct.pack("=QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    with contextlib.suppress(OSError):  # or whoever makes another user namespace has privileges again, if only there
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    try:
        mount("/", "", MS_REC | MS_PRIVATE)
        for place in hidden:
            if place.is_dir():
                mount(place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        if libc.syscall(MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, read_only, len(read_only)):
            raise OSError(ctypes.get_errno(), "making all files read-only")
        mount(folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, f"size={FOLDER_BYTES},mode=700")
    except OSError as error:
        return f"{error.strerror or error} is forbidden here"
    with contextlib.suppress(OSError):  # a container may forbid another /proc; the machine's is read-only by now
        mount("/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _give_up_all_privileges(libc)
    return ""


def _give_up_all_privileges(libc: ctypes.CDLL) -> None:
    """Or the learner's code could make the files writable again: they are privileges over its own namespaces."""
    for capability in range(int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.capset(struct.pack("=Ii", CAPABILITY_VERSION_3, 0), struct.pack("=6I", *[0] * 6)):
        raise OSError(ctypes.get_errno(), "giving up privileges")
