"""The LAN: network namespaces on one bridge, without root, in about a tenth of a second (Linux).

    lan = Lan.build(["server", "alice", "bob"])      # raises LanUnavailable, which says why and what to do
    alice = lan.hosts["alice"]
    ...
    lan.close()                                       # a dead process closes it as well

The bridge is a switch, on which a host hears its own traffic only, or a hub, on which everybody hears all:
`lan.become("hub")`. What crosses it is heard by `lan.mirror()`, as on a switch's mirror port.
"""

import contextlib
import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Literal

from common import dns
from common.errors import LabError
from common.hosts import Host, beside, bound, connected, listening

Kind = Literal["hub", "switch"]

PREFIX: Final = "10.13.37"
NETMASK: Final = "255.255.255.0"
PLAN: Final = {"dns": 2, "server": 10, "alice": 21, "bob": 22, "carol": 23, "eve": 66, "mallory": 99}
"""The hosts of the lab and the last byte of their addresses."""
CARDS: Final = {name: f"02:00:00:00:00:{number:02x}" for name, number in PLAN.items()}
"""Their network cards, on either network: addresses that are administered locally (IEEE 802)."""

IP_TRANSPARENT: Final = 19
AT_ONCE: Final = 8
"""How many sockets of a kind a host is asked for at a time: it is the order that takes its half a millisecond."""
_AGEING: Final = {"hub": "0", "switch": "30000"}


class LanUnavailable(LabError):
    """This machine allows no LAN; the sentence says why, and what can be done."""


class LanHost(Host):
    """A host with a network namespace of its own. What it is asked for is done by its holder process."""

    def __init__(self, name: str, orders: socket.socket) -> None:
        super().__init__(name, f"{PREFIX}.{PLAN[name]}")
        self.mac = CARDS[name]
        self._orders = orders
        self._stock: dict[int, list[socket.socket]] = {}

    def make(self, kind: int, *, transparent: bool = False) -> socket.socket:
        """A fresh IPv4 socket of this host. A transparent one may use addresses that are not its own."""
        if transparent:
            (sock,) = _sockets(
                self._orders, family=socket.AF_INET, type=kind, options=[(socket.SOL_IP, IP_TRANSPARENT, 1)]
            )
            return sock
        stock = self._stock.setdefault(kind, [])
        if not stock:
            stock += _sockets(self._orders, family=socket.AF_INET, type=kind, number=AT_ONCE)
        return stock.pop()

    def close(self) -> None:
        """Give no more orders."""
        self._orders.close()
        while self._stock:
            for sock in self._stock.popitem()[1]:
                sock.close()

    async def listen(self, port: int) -> socket.socket:
        return listening(self.make(socket.SOCK_STREAM), self.address, port)

    async def connect(self, address: str, port: int) -> socket.socket:
        return await connected(self.make(socket.SOCK_STREAM), address, port)

    async def bind_udp(self, port: int = 0) -> socket.socket:
        return bound(self.make(socket.SOCK_DGRAM), self.address, port)

    def udp_queue(self, sock: socket.socket, peer: tuple[str, int]) -> socket.socket | None:
        return beside(lambda: self.make(socket.SOCK_DGRAM), sock, peer)

    def packet_socket(self) -> socket.socket:
        return _packet_socket(self._orders, "eth0")

    async def resolve(self, name: str) -> str:
        return self.pinned.get(name) or await dns.resolve(self, f"{PREFIX}.{PLAN['dns']}", dns.PORT, name)

    def run(self, *command: str) -> str:
        """Run a command on this host, wait for it, return what it printed. Raises LabError where it fails."""
        return _run(self._orders, *command)

    def forget_neighbours(self) -> None:
        """Empty this host's ARP table; what was written down by hand goes too."""
        _order(self._orders, do="forget", addresses=[f"{PREFIX}.{byte}" for byte in PLAN.values()])

    def furnish(self, files: dict[str, tuple[int, str]], etc: dict[str, str]) -> None:
        """Give this host files of its own, for programs that are to run on it: `files` by their path under /run, with
        their mode, and `etc`, which stand in for the machine's /etc. Raises LabError where the machine forbids it."""
        try:
            _order(self._orders, do="furnish", files=files, etc=etc)
        except OSError as error:
            raise LabError(f"{self.name} cannot be given files of its own here ({error}).") from None

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file as this host sees it."""
        _order(self._orders, do="put", path=path, text=text, mode=mode)

    def unix_socket(self, path: str) -> socket.socket:
        """A datagram socket that programs on this host find at a path."""
        (sock,) = _sockets(self._orders, family=socket.AF_UNIX, type=socket.SOCK_DGRAM, path=path)
        sock.setblocking(False)
        return sock

    def namespaces(self) -> list[int]:
        """Descriptors with which `common.lan_enter` enters this host; whoever takes them closes them."""
        return _order(self._orders, do="namespaces")[1]

    def sysctl(self, name: str, value: str) -> None:
        """Set a kernel setting of this host's network, such as `ipv4/ip_forward`."""
        if ".." in name:
            raise ValueError(f"{name} is not the name of a setting")
        _order(self._orders, do="write", path=f"/proc/sys/net/{name}", text=value)


class Lan:
    """One LAN; `build` makes it, `close` or the end of this process ends it."""

    def __init__(self, process: "subprocess.Popen[bytes]", orders: socket.socket, hosts: dict[str, LanHost]) -> None:
        self._process = process
        self._orders = orders
        self.hosts = hosts
        self.kind: Kind = "switch"
        self.folder = Path()
        """Where whoever uses it keeps what is thrown away with it."""
        self.zone: dict[str, str] = {}
        """The names that its name server knows."""
        self.arranged = ("", "", False)
        """How `lab.surroundings` left it: the settings of arp and arp_inspection, and whether Mallory is the router."""

    @classmethod
    def build(cls, names: list[str] | None = None, sweep: Path | None = None) -> "Lan":
        """Make the namespaces, the bridge and the cables. Raises LanUnavailable.

        sweep: a folder that is removed when the LAN has ended, by whatever death of this process.
        """
        names = names or list(PLAN)
        ip = ip_command()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            script = str(Path(__file__).with_name("lan_init.py"))
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", script, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the bench, which puts the victims back first
            )
        try:
            ours.settimeout(10)
            ours.send(json.dumps({"hosts": names, "sweep": str(sweep or "")}).encode())
            message, descriptors, _, _ = socket.recv_fds(ours, 1 << 16, len(names))
            answer = json.loads(message or "{}")
            if "pids" not in answer:
                raise LanUnavailable(_why_not(answer.get("step", "start"), answer.get("errno", 0)))
            ends = [socket.socket(fileno=descriptor) for descriptor in descriptors]
            hosts = {name: LanHost(name, end) for name, end in zip(names, ends, strict=True)}
            lan = cls(process, ours, hosts)
            cables = [
                f"link add v-{name} type veth peer name eth0 address {host.mac} netns {pid}\n"
                f"link set v-{name} master br0 up"
                for (name, host), pid in zip(hosts.items(), answer["pids"], strict=True)
            ]
            batch = "\n".join(["link add br0 type bridge", *cables])
            _run(ours, "/bin/sh", "-c", f'printf "%s\\n" "$1" | {ip} -batch -', "sh", batch)
            _order(ours, do="up", interface="br0")
            for host, end in zip(hosts.values(), ends, strict=True):
                end.settimeout(10)
                _order(end, do="configure", address=host.address, netmask=NETMASK)
        except BaseException as error:
            ours.close()
            process.wait()
            if isinstance(error, OSError) or (isinstance(error, LabError) and not isinstance(error, LanUnavailable)):
                said = " ".join(str(error).split())
                raise LanUnavailable(f"The LAN cannot be built here ({said[-160:]}).") from None
            raise
        return lan

    def become(self, kind: Kind) -> None:
        """Be a hub or a switch from now on."""
        if kind != self.kind:
            self.kind = kind
            _run(self._orders, ip_command(), "link", "set", "br0", "type", "bridge", "ageing_time", _AGEING[kind])

    def namespaces(self) -> list[int]:
        """The same as a host's, of the switch: outside all hosts, where `br0` is."""
        return _order(self._orders, do="namespaces")[1]

    def run(self, *command: str) -> str:
        """Run a command where the switch is, wait for it, return what it printed. Raises LabError where it fails."""
        return _run(self._orders, *command)

    def mirror(self) -> socket.socket:
        """A packet socket that hears every frame that crosses the bridge, once."""
        return _packet_socket(self._orders, "br0")

    def close(self) -> None:
        """End every process of the LAN and wait until they are gone."""
        for host in self.hosts.values():
            host.close()
        self._orders.close()
        self._process.wait()


def ip_command() -> str:
    """Where iproute2's `ip` is. Raises LanUnavailable."""
    path = shutil.which("ip", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if sys.platform != "linux":
        raise LanUnavailable("The LAN needs Linux; this machine can use the loopback network.")
    if path is None:
        raise LanUnavailable("The LAN needs the command `ip`; install it with: sudo apt install iproute2")
    return path


def _why_not(step: str, number: int) -> str:
    """What forbids the namespaces, by where and how it failed, and the ways round."""
    if number in (errno.ENOSPC, errno.EUSERS):
        return (
            "The LAN needs user namespaces, and user.max_user_namespaces is 0 here; "
            "ask for: sudo sysctl user.max_user_namespaces=10000"
        )
    if step in ("uid_map", "ambient", "capset") or (step == "holder"):
        return (
            "The LAN needs user namespaces, and AppArmor forbids them here (Ubuntu 23.10 and newer); run inside "
            "`podman unshare`, or: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if number in (errno.EPERM, errno.EACCES):
        return (
            "The LAN needs user namespaces, and this container or system forbids them (seccomp or "
            "kernel.unprivileged_userns_clone); run outside the container"
        )
    return f"The LAN could not be built ({step}: {os.strerror(number) if number else 'ended early'})"


def _order(orders: socket.socket, **order: Any) -> tuple[dict[str, Any], list[int]]:
    message, descriptors = b"", list[int]()
    with contextlib.suppress(ConnectionError):
        orders.send(json.dumps(order).encode())
        message, descriptors, _, _ = socket.recv_fds(orders, 1 << 20, max(5, AT_ONCE))
    if not message:
        raise LabError("The LAN is gone: its first process was ended; start again.")
    answer: dict[str, Any] = json.loads(message)
    if "errno" in answer:
        for descriptor in descriptors:
            os.close(descriptor)
        raise OSError(answer["errno"], answer["error"])
    return answer, descriptors


def _sockets(orders: socket.socket, **order: Any) -> list[socket.socket]:
    """At least one. Raises OSError."""
    _, descriptors = _order(orders, do="socket", **order)
    if not descriptors:  # the kernel drops what this process has no room for
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]


def _packet_socket(orders: socket.socket, interface: str) -> socket.socket:
    (sock,) = _sockets(orders, family=socket.AF_PACKET, type=socket.SOCK_RAW, interface=interface)
    sock.setblocking(False)
    return sock


def _run(orders: socket.socket, *command: str) -> str:
    failed = f"On the lab's network, `{' '.join(command)}` failed"
    try:
        answer, _ = _order(orders, do="run", command=command)
    except OSError as error:
        raise LabError(f"{failed}: {error.strerror or error}") from None
    if answer["status"]:
        raise LabError(f"{failed}: {answer['output'].strip()}")
    output: str = answer["output"]
    return output
