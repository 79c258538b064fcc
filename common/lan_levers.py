"""What the LAN itself can do against those who want to be on the path, and the one case in which it puts them there.

Each of these is a lever of the network (`common.levers.LAN`), and nothing but addresses, routes and filters inside the
LAN's own namespaces. Each can be taken back, so that one LAN serves many scenes.
"""

import contextlib
import os
import shutil
import struct
from typing import Final

from common.errors import LabError
from common.lan import PREFIX, Lan, LanHost, ip_command

NETWORK: Final = f"{PREFIX}.0/24"
MEMBERS: Final = ("alice", "bob", "carol")
ROUTER: Final = "mallory"

ETHERTYPE, SENDER_CARD, SENDER_ADDRESS = 12, 22, 28
"""Where these stand in an Ethernet frame that carries ARP (RFC 826)."""
ARP: Final = 0x0806
LOAD_WORD, LOAD_HALF, JUMP_EQUAL, RETURN = 0x20, 0x28, 0x15, 0x06
"""Operations of classic BPF (McCanne and Jacobson, 1993)."""
PASS, DROP = 0, 2
"""TC_ACT_OK and TC_ACT_SHOT (linux/pkt_cls.h)."""


def forget(lan: Lan) -> None:
    """Nobody on the LAN remembers whose card is whose, not even what was written down."""
    for host in lan.hosts.values():
        host.forget_neighbours()


def static_arp(lan: Lan) -> None:
    """Every host has it written down whose card is whose, and believes nothing else. It defends the host that has it:
    the frames of one that has not still go wherever that one was told."""
    for host in lan.hosts.values():
        others = [other for other in lan.hosts.values() if other is not host]
        _batch(host, [f"neigh replace {o.address} lladdr {o.mac} dev eth0 nud permanent" for o in others])


def inspect_arp(lan: Lan) -> None:
    """The switch drops ARP that names another sender, by address or by card, than the host at that port.

    Switches that one can buy call it dynamic ARP inspection and learn who is where from DHCP; this one has the plan.
    The filter is classic BPF, which needs no privilege outside the LAN. Raises LabError where a kernel has it not.
    """
    for name, host in lan.hosts.items():
        program = inspection(host)
        code = ",".join([str(len(program)), *(" ".join(map(str, step)) for step in program)])
        filtering = ["filter", "add", "dev", f"v-{name}", "ingress", "bpf", "bytecode", code, "direct-action"]
        try:
            lan.run(tc_command(), "qdisc", "replace", "dev", f"v-{name}", "clsact")
            lan.run(tc_command(), *filtering)
        except LabError:
            with contextlib.suppress(LabError):  # there is no tc at all, so nothing to take back
                uninspected(lan)
            raise LabError(
                "The switch cannot inspect ARP here: arp_inspection=on needs the command `tc` (iproute2) and a kernel "
                "with cls_bpf; the lever arp=static needs neither."
            ) from None


def inspection(host: LanHost) -> list[tuple[int, int, int, int]]:
    """The filter of one port: (operation, steps forward if so, steps forward if not, operand)."""
    (address,) = struct.unpack("!I", bytes(map(int, host.address.split("."))))
    card, rest = struct.unpack("!HI", bytes.fromhex(host.mac.replace(":", "")))
    return [
        (LOAD_HALF, 0, 0, ETHERTYPE),
        (JUMP_EQUAL, 0, 7, ARP),  # anything but ARP goes on
        (LOAD_WORD, 0, 0, SENDER_ADDRESS),
        (JUMP_EQUAL, 0, 4, address),  # stops "10.13.37.10 is at my card"
        (LOAD_HALF, 0, 0, SENDER_CARD),
        (JUMP_EQUAL, 0, 2, card),  # stops "my address is at his card"
        (LOAD_WORD, 0, 0, SENDER_CARD + 2),
        (JUMP_EQUAL, 1, 0, rest),
        (RETURN, 0, 0, DROP),
        (RETURN, 0, 0, PASS),
    ]


def tc_command() -> str:
    """Where iproute2's `tc` is; its bare name where it is nowhere, so that running it says so."""
    return shutil.which("tc", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or "tc"


def uninspected(lan: Lan) -> None:
    """The switch looks at nothing again."""
    for name in lan.hosts:
        if "clsact" in lan.run(tc_command(), "qdisc", "show", "dev", f"v-{name}"):
            lan.run(tc_command(), "qdisc", "del", "dev", f"v-{name}", "clsact")


def behind_mallory(lan: Lan) -> None:
    """The members sit in a café whose access point is Mallory's: DHCP told them that the way to everywhere goes through
    her, and the way back to them does too. Nobody is lied to; she is their router."""
    router = lan.hosts[ROUTER]
    there = [name for name in MEMBERS if name in lan.hosts]
    for name, host in lan.hosts.items():
        if name in there:
            routes = [f"{router.address}/32 dev eth0", f"{NETWORK} via {router.address} dev eth0 src {host.address}"]
        else:
            routes = [f"{lan.hosts[m].address}/32 via {router.address} dev eth0" for m in there if name != ROUTER]
        _batch(host, [f"route replace {route}" for route in routes])


def beside_mallory(lan: Lan) -> None:
    """Everybody is on the same wire again, and reaches the others without a router."""
    for host in lan.hosts.values():
        host.run(ip_command(), "route", "flush", "dev", "eth0")
        host.run(ip_command(), "route", "add", NETWORK, "dev", "eth0", "scope", "link", "src", host.address)


def _batch(host: LanHost, lines: list[str]) -> None:
    host.run("/bin/sh", "-c", f'printf "%s\\n" "$1" | {ip_command()} -batch -', "sh", "\n".join(lines))
