"""Which system calls the learner's code may not make: a seccomp filter (seccomp(2)), put on before it is imported.

Namespaces hide files, processes and networks; some things of the kernel's are in none of them (keyrings, vsock), and a
socket that the bench hands over could be connected to another place. A client and a server need none of what is refused
here: they have one process, sockets that were made for them, and files.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from typing import Final

AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The processors for which the numbers below are known (linux/audit.h)."""
REFUSED: Final = {
    # other programs and processes: one program is one process, so its limits are those of the whole program
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    # the network: every socket is made by the bench; a connected one could be connected anew
    "connect": (42, 203),
    # memory that no limit counts, and that outlives its process
    "shmget": (29, 194),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # ways to others that no namespace closes
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "open_by_handle_at": (304, 265),
    # a large surface that nobody here needs
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
}
"""Numbers on x86_64 (asm/unistd_64.h) and aarch64 (asm-generic/unistd.h); None where there is no such call."""
CLONE, SOCKET, MMAP = (56, 220), (41, 198), (9, 222)
CLONE3: Final = 435
NEWEST: Final = 450
"""Whatever has a higher number is newer than this table, and not there."""
CLONE_THREAD, MAP_SHARED_ANONYMOUS = 0x10000, 0x21
FAMILIES: Final = (1, 2, 10)
"""AF_UNIX, AF_INET and AF_INET6; others, such as AF_VSOCK and AF_NETLINK, are not confined to a network namespace."""

LOAD, EQUAL, GREATER, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x25, 0x45, 0x54, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2

Step = tuple[int, int, int, int]
"""An instruction of classic BPF: code, jump if true, jump if false, value."""


def program(machine: str) -> list[Step]:
    """The filter for this processor."""
    at = list(AUDIT_ARCH).index(machine)
    steps: list[Step] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (RETURN, 0, 0, KILL),  # the calls of 32-bit programs have other numbers
        (LOAD, 0, 0, NUMBER),
    ]
    for numbers in REFUSED.values():
        if (number := numbers[at]) is not None:
            steps += [(EQUAL, 0, 1, number), _refuse(errno.EPERM)]
    steps += [(EQUAL, 0, 1, CLONE3), _refuse(errno.ENOSYS)]  # its flags cannot be seen; the C library then takes clone
    steps += [(GREATER, 0, 1, NEWEST), _refuse(errno.ENOSYS)]
    steps += _when(CLONE[at], 0, [(ANY_BIT, 1, 0, CLONE_THREAD), _refuse(errno.EPERM)])
    shared = [(AND, 0, 0, MAP_SHARED_ANONYMOUS), (EQUAL, 0, 1, MAP_SHARED_ANONYMOUS), _refuse(errno.ENOMEM)]
    steps += _when(MMAP[at], 3, shared)  # what is shared counts as nobody's data
    families = [(EQUAL, len(FAMILIES) - n, 0, family) for n, family in enumerate(FAMILIES)]
    steps += _when(SOCKET[at], 0, [*families, _refuse(errno.EAFNOSUPPORT)])
    return [*steps, (RETURN, 0, 0, ALLOW)]


def _refuse(error: int) -> Step:
    return (RETURN, 0, 0, ERRNO | error)


def _when(number: int, argument: int, then: list[Step]) -> list[Step]:
    """For this call, look at the lower half of an argument. Whatever gets to the end is allowed."""
    body = [(LOAD, 0, 0, ARGUMENTS + 8 * argument), *then, (RETURN, 0, 0, ALLOW)]
    return [(EQUAL, 0, len(body), number), *body]


def refuse(libc: ctypes.CDLL) -> str:
    """Put the filter on, for ever; return why not, where that fails. Wants PR_SET_NO_NEW_PRIVS."""
    machine = platform.machine()
    if machine not in AUDIT_ARCH:
        return f"the numbers of system calls on {machine} are not known here"
    steps = b"".join(struct.pack("=HBBI", *step) for step in program(machine))
    kept = ctypes.create_string_buffer(steps, len(steps))
    fprog = struct.pack("@HP", len(steps) // 8, ctypes.addressof(kept))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0):
        return "system calls cannot be refused here"
    return ""
