"""The field: the kit turned on a protocol that nobody here wrote, IRC (RFC 1459, RFC 2812) as `ngircd` serves it.

A map, from the bottom up:

    irc         IRC's lines, and a member's client: the lab's own client with another wire
    ngircd      starts the Debian package's server on the lab's host `server`, and ends it
    compose     the levers, and how client and server are put together: what a stage calls its `compose`
    attacks     the adapter: sniffer, impersonation, stolen operator, man in the middle
    scene       the conversation, judged by the lab's own referee
    audit       the evidence of audits/field-ngircd.md
    verbs       what `lab field` does

Network, positions, taps, stream reassembly, ARP spoofing, interception, referee, ablations and captures are the lab's
own and are not touched. Nothing here takes an address: the only server that can be attacked is the one a run starts.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from stages import Stage


@dataclass(frozen=True)
class Target(Stage):
    """A program of other people's, in the place where the bench has a stage."""

    @property
    def title(self) -> str:
        """What is attacked."""
        return "IRC, as ngircd serves it"

    @property
    def port(self) -> int:
        """Where it listens without TLS."""
        return 6667

    def _module(self, name: str) -> Any:
        return importlib.import_module(f"lab.field.{name}")


NGIRCD = Target(1, "ngircd")
