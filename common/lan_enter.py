"""Running a program on a host of a running LAN: enter its namespaces, fork, exec, stand by until it ends.

    python -I -S lan_enter.py CONTROL HOST COMMAND [ARGUMENT…]
    python -I -S lan_enter.py - [FD,FD,FD,FD,FD] COMMAND [ARGUMENT…]

CONTROL is the socket of the LAN's owner (`lab.running`), which hands over the host's namespaces. In the second form it
is the owner itself who starts a program: the namespaces are descriptors, or none for a host of the loopback network,
and the program is told to end (SIGTERM) when the owner does. util-linux's `nsenter` would enter from 2.40 on; older
ones lose the capabilities on the way and pass no signals on.

The program is the person's own in every way but where it runs: their id, their files, their terminal. Its end is our
end: the same exit status, the same signal. In a container it would be called `docker exec`.

Only the standard library, and as little of it as possible, so that a dozen shells open at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

CLONE = {"user": 0x10000000, "pid": 0x20000000, "mnt": 0x00020000, "uts": 0x04000000, "net": 0x40000000}
"""In the order in which `lan_init.NAMESPACES` has them."""
PR_SET_PDEATHSIG, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 47, 2
CAPABILITY_VERSION_3 = 0x20080522
NO_SUCH_COMMAND, NOT_EXECUTABLE = 127, 126
PASSED_ON = {signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
ANSWER_BYTES = 1 << 16
SECONDS = 10
"""How long the owner may take to answer; it may have been stopped."""

libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The LAN's owner said no, or is gone; the text says why."""


def connect(control: str) -> socket.socket:
    """A connection to the owner of a running LAN. Raises OSError where there is none."""
    folder = os.open(os.path.dirname(control), os.O_RDONLY | os.O_DIRECTORY)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.settimeout(SECONDS)
        # a socket's path may have 107 bytes and no more; through the folder's descriptor it never has
        sock.connect(f"/proc/self/fd/{folder}/{os.path.basename(control)}")
    except BaseException:
        sock.close()
        raise
    finally:
        os.close(folder)
    return sock


def ask(owner: socket.socket, **request: Any) -> tuple[dict[str, Any], list[int]]:
    """Ask the owner for something; the answer, and descriptors. Raises Refused, and OSError where nothing comes."""
    owner.send(json.dumps(request).encode())
    message, descriptors, _, _ = socket.recv_fds(owner, ANSWER_BYTES, len(CLONE))
    answer: dict[str, Any] = json.loads(message or '{"refused": "The LAN has ended."}')
    if "refused" in answer:
        raise Refused(answer["refused"])
    return answer, descriptors


def go_in(descriptors: Sequence[int]) -> None:
    """Enter a host's namespaces, for this process and, as for pids, for its children. Raises OSError."""
    try:
        there = os.getcwd()
    except OSError:  # somebody has removed it
        there = "/"
    ours = [os.stat(f"/proc/self/ns/{name}") for name in CLONE]  # with the host's view of files, /proc is another
    for (name, kind), descriptor, own in zip(CLONE.items(), descriptors, ours, strict=True):
        if not os.path.samestat(own, os.fstat(descriptor)) and libc.setns(descriptor, kind) < 0:
            raise OSError(ctypes.get_errno(), f"the host's {name} namespace cannot be entered")
        os.close(descriptor)
    try:
        os.chdir(there)  # a new view of the file system begins at its root
    except OSError:
        os.chdir("/")


def keep_capabilities() -> None:
    """As ambient ones, which survive exec: `tcpdump`, `ip` and the like need no root here."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    every = (1 << (last + 1)) - 1
    low, high = every & 0xFFFFFFFF, every >> 32
    libc.capset(struct.pack("=Ii", CAPABILITY_VERSION_3, 0), struct.pack("=6I", low, low, low, high, high, high))
    for capability in range(last + 1):
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def environment(changes: dict[str, str | None], path: list[str]) -> dict[str, str]:
    """This process's environment with changes, None removing; `path` is what is looked through first for commands."""
    changed = {**os.environ, **changes}
    there = [*path, *os.environ.get("PATH", os.defpath).split(":"), "/usr/sbin", "/sbin"]
    return {name: value for name, value in changed.items() if value is not None} | {
        "PATH": ":".join(dict.fromkeys(there))
    }


def enter(control: str, host: str, command: list[str]) -> NoReturn:
    """Run a command on a host and end as it ends. Raises Refused, and OSError where that cannot be done."""
    with connect(control) as owner:
        answer, descriptors = ask(owner, want="enter", host=host)
    signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, signal.SIGCHLD, signal.SIGTTOU})
    go_in(descriptors)
    start(command or answer["shell"], environment(answer["env"], answer["path"]))


def serve_owner(descriptors: list[int], command: list[str]) -> NoReturn:
    """The same for the owner, who is our parent, and until it ends. Raises OSError where that cannot be done."""
    owner = os.getppid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, signal.SIGCHLD, signal.SIGTTOU})
    if descriptors:
        go_in(descriptors)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # now: entering another user namespace forgets it
    if os.getppid() != owner:  # it has ended meanwhile
        os._exit(1)
    start(command, environment({}, []))


def start(command: list[str], environment: dict[str, str]) -> NoReturn:
    """Fork, run it, end as it ends."""
    terminal = terminal_in_front()
    pid = os.fork()
    if pid == 0:
        run(command, environment, terminal)
    stand_by(pid, terminal)


def terminal_in_front() -> int:
    """The terminal, as a descriptor, that we are to hand on; -1 where there is none.

    Only where input and output both are it: in a pipeline, others in front need it as well.
    """
    try:
        if os.isatty(0) and os.isatty(1) and os.tcgetpgrp(0) == os.getpgrp():
            return 0
    except OSError:
        pass
    return -1


def run(command: list[str], environment: dict[str, str], terminal: int) -> NoReturn:
    """The child: become the command."""
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # whoever started us is gone already
            os._exit(1)
        keep_capabilities()
        if terminal >= 0:  # a group that exists in the command's own pid namespace, and has the terminal
            os.setpgid(0, 0)
            os.tcsetpgrp(terminal, os.getpgrp())
        for number in (*PASSED_ON, signal.SIGPIPE, signal.SIGXFSZ):
            if number in (signal.SIGPIPE, signal.SIGXFSZ) or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is the point
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        why = "there is no such command here" if missing else error.strerror
        os.write(2, os.fsencode(f"{command[0]}: {why}\n"))
        os._exit(NO_SUCH_COMMAND if missing else NOT_EXECUTABLE)
    finally:
        os._exit(1)


def stand_by(pid: int, terminal: int) -> NoReturn:
    """The parent: pass signals on until the child ends, and end in the same way."""
    status = end_of(pid, terminal)
    if terminal >= 0:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(terminal, os.getpgrp())
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the child has left one already, if it should
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


def end_of(pid: int, terminal: int) -> int:
    """Pass signals on until the child ends; its status, as `waitpid` has it."""
    while True:
        told = signal.sigwaitinfo({*PASSED_ON, signal.SIGCHLD})
        if told.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
            if ended and not os.WIFSTOPPED(status):
                return status
            if ended and terminal >= 0:
                stop_too(pid, terminal)
        elif told.si_code <= 0:  # from a process; what the terminal sends, the child has been sent as well
            os.kill(pid, told.si_signo)


def stop_too(group: int, terminal: int) -> None:
    """The child was stopped (Ctrl-Z): so are we, until our own shell lets us go on; then so does the child."""
    if os.getsid(0) != os.getpid():  # with a shell above us, that could let us go on
        os.tcsetpgrp(terminal, os.getpgrp())
        os.kill(os.getpid(), signal.SIGSTOP)
    os.tcsetpgrp(terminal, group)
    os.killpg(group, signal.SIGCONT)


def main() -> None:
    try:
        if sys.argv[1] == "-":
            serve_owner([int(number) for number in sys.argv[2].split(",") if number], sys.argv[3:])
        enter(sys.argv[1], sys.argv[2], sys.argv[3:])
    except (Refused, OSError) as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
