"""Filters as tcpdump and Wireshark's capture dialog take them: `tcp port 5001 and host 10.13.37.21`.

libpcap compiles the expression to a program for the Berkeley Packet Filter and runs it; whoever has tcpdump, Wireshark
or tshark has libpcap. Without it there are no such filters: half a language of our own would only be mistaken for it.
Source: pcap-filter(7), pcap_compile(3), pcap_offline_filter(3).
"""

import contextlib
import ctypes
import os
from collections.abc import Callable
from typing import Final

from attacks.pcap import ETHERNET, MAX_FRAME
from common.errors import LabError

LIBRARIES: Final = ("libpcap.so.0.8", "libpcap.so.1", "libpcap.so", "libpcap.dylib")
_ANY_NETMASK: Final = 0xFFFFFFFF


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


class _Header(ctypes.Structure):
    _fields_ = (
        ("seconds", ctypes.c_long),
        ("micros", ctypes.c_long),
        ("kept", ctypes.c_uint32),
        ("len", ctypes.c_uint32),
    )


def _libpcap() -> ctypes.CDLL:
    for name in LIBRARIES:
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    raise LabError("--bpf needs libpcap, which is not here; install it: sudo apt install libpcap0.8")


def matching(expression: str) -> Callable[[bytes], bool]:
    """Does an Ethernet frame match? Raises LabError where libpcap is missing or does not understand the expression."""
    library = _libpcap()
    library.pcap_open_dead.restype = ctypes.c_void_p
    library.pcap_geterr.restype = ctypes.c_char_p
    handle, program = ctypes.c_void_p(library.pcap_open_dead(ETHERNET, MAX_FRAME)), _Program()
    if library.pcap_compile(handle, ctypes.byref(program), os.fsencode(expression), 1, ctypes.c_uint32(_ANY_NETMASK)):
        why = library.pcap_geterr(handle).decode(errors="replace")
        raise LabError(f"--bpf {expression!r} is no filter ({why}); one is: --bpf 'tcp port 5001'.")
    header = _Header()
    run, arguments = library.pcap_offline_filter, (ctypes.byref(program), ctypes.byref(header))

    def match(frame: bytes) -> bool:
        header.kept = header.len = len(frame)
        return bool(run(*arguments, frame))

    return match
