"""The process that is the LAN: run in a fresh interpreter by `common.lan`, never imported by it.

    python -I -S lan_init.py FD

It makes an unprivileged user namespace and a pid namespace in it. Pid 1 there owns the bridge; one holder
process per host owns that host's network namespace. Each of them waits on a socket for orders from the bench:
make a socket and hand it over (SCM_RIGHTS), run a command, write a sysctl. A socket belongs to the namespace it
was made in, so the bench itself never has to enter one, and keeps its threads, its privileges and its files.

Pid 1 ends when its order socket is closed, by whatever death of the bench, and the kernel then ends every
process of the pid namespace and frees the rest. No name is left anywhere.

Only the standard library, and as little of it as possible: starting this is most of the LAN's build time.
"""

from __future__ import annotations

import contextlib
import ctypes
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
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAPABILITY_VERSION_3 = 0x20080522
SIOCSIFFLAGS, SIOCGIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, SIOCETHTOOL = 0x8914, 0x8913, 0x8916, 0x891C, 0x8946
SIOCDARP = 0x8953
IFF_UP, IFF_PROMISC = 0x1, 0x100
OFFLOADS = {"rx checksum": 0x15, "tx checksum": 0x17, "scatter-gather": 0x19, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}
ETH_P_ALL = 3

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
    call("unshare", libc.unshare, CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS)
    try:
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
    return sock


def obey(orders: socket.socket) -> None:
    """Carry out orders until the other end closes."""
    while True:
        try:
            message = orders.recv(1 << 16)
        except InterruptedError:
            continue
        if not message:
            return
        answer: dict[str, Any] = {}
        sockets: list[socket.socket] = []
        try:
            order: Order = json.loads(message)
            if order["do"] == "socket":
                sockets = [make_socket(order)]
            elif order["do"] == "run":
                done = subprocess.run(
                    order["command"], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
                )
                answer = {"status": done.returncode, "output": done.stdout + done.stderr}
            elif order["do"] == "write":
                write(order["path"], order["text"])
            elif order["do"] == "configure":
                configure(order)
            elif order["do"] == "forget":
                forget(order["addresses"])
            elif order["do"] == "up":
                flags(order["interface"], IFF_PROMISC)
        except OSError as error:
            answer = {"errno": error.errno or 0, "error": str(error)}
        socket.send_fds(orders, [json.dumps(answer).encode()], [sock.fileno() for sock in sockets])
        for sock in sockets:
            sock.close()


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
    libc.mount(None, b"/", None, 0x44000, None)  # MS_REC | MS_PRIVATE: nothing mounted here is seen outside
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
    hosts = json.loads(orders.recv(1 << 16))
    reporting(orders, become_owner)
    pid = os.fork()
    if pid == 0:
        reporting(orders, pid_one, orders, hosts)
        os._exit(0)
    orders.close()
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
