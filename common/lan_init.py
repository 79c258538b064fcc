"""The process that is the LAN: run in a fresh interpreter by `common.lan`, never imported by it.

    python -I -S lan_init.py FD

It makes an unprivileged user namespace and a pid namespace in it. Pid 1 there owns the bridge; one holder
process per host owns that host's network namespace. Each of them waits on a socket for orders from the bench:
make a socket and hand it over (SCM_RIGHTS), run a command, write a sysctl. A socket belongs to the namespace it
was made in, so the bench itself never has to enter one, and keeps its threads, its privileges and its files.
For programs that are to run *on* a host, as `make lan` has them, a host can be furnished with files of its own, and
hands over its namespaces (see `lan_enter.py`).

Pid 1 ends when its order socket is closed, by whatever death of the bench, and the kernel then ends every
process of the pid namespace and frees the rest. The process that began it all outlives pid 1 by a moment, in which it
removes the folder that it was told to sweep: no name is left anywhere.

Only the standard library, and as little of it as possible: starting this is most of the LAN's build time.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys

TYPE_CHECKING = False  # `typing` takes milliseconds that this process need not spend
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Order = dict[str, Any]

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWUSER = 0x00020000, 0x04000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x40000
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAPABILITY_VERSION_3 = 0x20080522
SIOCSIFFLAGS, SIOCGIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, SIOCETHTOOL = 0x8914, 0x8913, 0x8916, 0x891C, 0x8946
SIOCDARP = 0x8953
IFF_UP, IFF_PROMISC = 0x1, 0x100
OFFLOADS = {"rx checksum": 0x15, "tx checksum": 0x17, "scatter-gather": 0x19, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}
ETH_P_ALL = 3
NAMESPACES = ("user", "pid", "mnt", "uts", "net")
"""What a process enters to be on a host, in this order: the first gives the right to the others."""

OUTPUT = 1 << 14
"""How many characters a command's output may have; an answer must fit into one datagram."""

libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """One step did not work; (step, errno) goes back to the bench, which knows how to say it."""


def call(step: str, function: Callable[..., int], *arguments: Any) -> None:
    """Call a C function; raise Failed with its errno where it fails."""
    if function(*arguments) < 0:
        raise Failed(step, ctypes.get_errno())


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def become_owner() -> None:
    """A user namespace in which this user has every capability over networks made there, and none outside.

    The user is mapped to itself, not to 0, and the capabilities are raised as ambient ones, so that `ip` keeps
    them and programs that drop privileges still work.
    """
    uid, gid = os.geteuid(), os.getegid()
    map_all = helper_that_maps_all() if uid == 0 else lambda: False
    call("unshare", libc.unshare, CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS)
    try:
        if not map_all():
            write("/proc/self/setgroups", "deny")
            write("/proc/self/uid_map", f"{uid} {uid} 1")
            write("/proc/self/gid_map", f"{gid} {gid} 1")
    except OSError as error:
        raise Failed("uid_map", error.errno) from None
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    every = (1 << (last + 1)) - 1
    low, high = every & 0xFFFFFFFF, every >> 32
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    call("capset", libc.capset, header, struct.pack("=6I", low, low, low, high, high, high))
    for capability in range(last + 1):
        call("ambient", libc.prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def helper_that_maps_all() -> Callable[[], bool]:
    """Root may map every id, from outside the new namespace; a tcpdump that root started can then become `tcpdump`.

    Returns the function that has it done and says whether it was: not every root is allowed to.
    """
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        try:
            if theirs.recv(1):
                for kind in ("uid_map", "gid_map"):
                    with open(f"/proc/self/{kind}") as file:
                        ranges = [line.split() for line in file]
                    write(f"/proc/{parent}/{kind}", "".join(f"{first} {first} {n}\n" for first, _, n in ranges))
                os._exit(0)
        finally:
            os._exit(1)
    theirs.close()

    def map_all() -> bool:
        ours.send(b".")
        return os.waitpid(pid, 0)[1] == 0

    return map_all


def interface(command: int, name: str, payload: bytes) -> bytes:
    """One ioctl on a network interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return fcntl.ioctl(sock, command, struct.pack("16s24s", name.encode(), payload))


def flags(name: str, extra: int) -> None:
    """Bring an interface up, with these flags besides."""
    now = struct.unpack("16xh22x", interface(SIOCGIFFLAGS, name, b""))[0]
    interface(SIOCSIFFLAGS, name, struct.pack("h", now | IFF_UP | extra))


def internet_address(text: str) -> bytes:
    return struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(text))


def configure(host: dict[str, str]) -> None:
    """Give a host its address. Offloads go off, else captured checksums are partial and cannot be re-sent."""
    for command in OFFLOADS.values():
        value = ctypes.create_string_buffer(struct.pack("II", command, 0))
        with contextlib.suppress(OSError):  # a kernel that lacks one of them has nothing to switch off
            interface(SIOCETHTOOL, "eth0", struct.pack("P", ctypes.addressof(value)))
    interface(SIOCSIFADDR, "eth0", internet_address(host["address"]))
    interface(SIOCSIFNETMASK, "eth0", internet_address(host["netmask"]))
    flags("lo", 0)
    flags("eth0", 0)


def forget(addresses: list[str]) -> None:
    """Take out of a host's ARP table what it believes of these neighbours."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for address in addresses:
            with contextlib.suppress(OSError):  # it knows nothing of this one
                request = struct.pack("16s16si16s16s", internet_address(address), b"", 0, b"", b"eth0")
                fcntl.ioctl(sock, SIOCDARP, request)


def quiet() -> None:
    """No IPv6 in this namespace: its autoconfiguration would only be noise in the captures."""
    for which in ("all", "default"):
        with contextlib.suppress(OSError):  # a kernel without IPv6
            write(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "1")


def make_socket(order: Order) -> socket.socket:
    """A socket of this host; `options` are those that need this namespace's privileges."""
    sock = socket.socket(order["family"], order["type"], order.get("protocol", 0))
    for level, name, value in order.get("options", []):
        sock.setsockopt(level, name, value)
    if order["family"] == socket.AF_PACKET:
        sock.bind((order["interface"], ETH_P_ALL))
    elif order["family"] == socket.AF_UNIX:
        sock.bind(order["path"])
    return sock


def mount(what: str, on: str, kind: str, flags: int, options: str = "") -> None:
    call("mount", libc.mount, what.encode(), on.encode(), kind.encode(), flags, options.encode())


def furnish(order: Order) -> None:
    """Give this host files of its own: `files` under /run, which is empty and the host's, and `etc`, which stand in
    for the machine's.

    Under /run the machine keeps the sockets of its own name services (systemd-resolved, nscd), which would answer in
    place of the lab's. A file of /etc that the machine does not have cannot be put there without changing the machine.
    """
    call("unshare", libc.unshare, CLONE_NEWNS)
    real = {name: os.path.realpath(f"/etc/{name}") for name in order["etc"]}
    mount("lab", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for kind, on in (("proc", "/proc"), ("sysfs", "/sys")):  # of this LAN's processes, and of this host's card
        with contextlib.suppress(Failed):  # a container that hides parts of its own forbids another
            mount("lab", on, kind, MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for path, (mode, text) in order["files"].items():
        put(path, text, mode)
    for name, text in order["etc"].items():
        put(f"/run/lab/etc/{name}", text)
        if real[name].startswith("/run/"):
            put(real[name], text)
        elif os.path.exists(real[name]):
            mount(f"/run/lab/etc/{name}", real[name], "", MS_BIND)
    with contextlib.suppress(OSError):  # `ping` without any privilege
        write("/proc/sys/net/ipv4/ping_group_range", f"{os.getegid()} {os.getegid()}")


def put(path: str, text: str, mode: int = 0o644) -> None:
    """A file, with the folders that it is in."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write(path, text)
    os.chmod(path, mode)


def namespaces(order: Order) -> list[int]:
    """This host's namespaces, as descriptors: whoever has them can come in."""
    return [os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in NAMESPACES]


def reap(*_: object) -> None:
    """Bury what has died: pid 1 is the parent of every process that lost its own."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def next_order(orders: socket.socket) -> bytes:
    """Wait for an order. Meanwhile whoever dies is buried; while one is carried out, that would take its result."""
    signal.signal(signal.SIGCHLD, reap)
    reap()
    try:
        return orders.recv(1 << 20)
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def obey(orders: socket.socket) -> None:
    """Carry out orders until the other end closes."""
    while True:
        message = next_order(orders)
        if not message:
            return
        answer: dict[str, Any] = {}
        descriptors: list[int] = []
        try:
            order: Order = json.loads(message)
            if order["do"] == "socket":
                for _ in range(order.get("number", 1)):
                    descriptors.append(make_socket(order).detach())
            elif order["do"] == "namespaces":
                descriptors = namespaces(order)
            elif order["do"] == "run":
                done = subprocess.run(order["command"], check=False, capture_output=True, stdin=subprocess.DEVNULL)
                answer = {"status": done.returncode, "output": (done.stdout + done.stderr).decode(errors="replace")}
                if len(answer["output"]) > OUTPUT:
                    answer = {"errno": errno.EMSGSIZE, "error": "it printed too much to be handed over"}
            elif order["do"] == "write":
                write(order["path"], order["text"])
            elif order["do"] == "put":
                put(order["path"], order["text"], order["mode"])
            elif order["do"] == "furnish":
                furnish(order)
            elif order["do"] == "configure":
                configure(order)
            elif order["do"] == "forget":
                forget(order["addresses"])
            elif order["do"] == "up":
                flags(order["interface"], IFF_PROMISC)
        except OSError as error:
            answer = {"errno": error.errno or 0, "error": str(error)}
        except Failed as failure:
            step, number = failure.args
            answer = {"errno": number, "error": f"{step}: {os.strerror(number)}"}
        socket.send_fds(orders, [json.dumps(answer).encode()], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def hold(name: bytes, orders: socket.socket, ready: int) -> None:
    """One host: its own network and its own name, and then orders."""
    call("unshare", libc.unshare, CLONE_NEWNET | CLONE_NEWUTS)
    call("sethostname", libc.sethostname, name, len(name))
    quiet()
    os.write(ready, b".")
    os.close(ready)
    obey(orders)


def pid_one(orders: socket.socket, hosts: list[str]) -> None:
    """The bridge's owner: start a holder for each host, hand its order socket to the bench, take orders."""
    libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)  # nothing mounted here is seen outside
    call("sethostname", libc.sethostname, b"switch", 6)
    quiet()
    ready, holder_says = os.pipe()
    ends: list[socket.socket] = []
    pids: list[int] = []
    for host in hosts:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                orders.close()
                os.close(ready)
                ours.close()
                for end in ends:
                    end.close()
                hold(host.encode(), theirs, holder_says)
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        ends.append(ours)
        pids.append(pid)
    os.close(holder_says)
    if any(not os.read(ready, 1) for _ in hosts):  # end of file: a holder died before it was ready
        raise Failed("holder", 0)
    os.close(ready)
    socket.send_fds(orders, [json.dumps({"pids": pids}).encode()], [end.fileno() for end in ends])
    for end in ends:
        end.close()
    obey(orders)


def reporting(orders: socket.socket, function: Callable[..., None], *arguments: Any) -> None:
    """Call, and tell the bench where it fails."""
    try:
        function(*arguments)
    except Failed as failure:
        step, number = failure.args
        orders.send(json.dumps({"step": step, "errno": number}).encode())
        os._exit(1)


def main() -> None:
    orders = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    plan = json.loads(orders.recv(1 << 16))
    reporting(orders, become_owner)
    pid = os.fork()
    if pid == 0:
        reporting(orders, pid_one, orders, plan["hosts"])
        os._exit(0)
    orders.close()
    os.waitpid(pid, 0)  # returns when the kernel has ended every process of the namespace
    if plan["sweep"]:
        import shutil

        shutil.rmtree(plan["sweep"], ignore_errors=True)


if __name__ == "__main__":
    main()
