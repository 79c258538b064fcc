"""What was asked for, before anything was measured: every target that the page of results must answer."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Target:
    """One figure to reach: at least `wanted`, or at most."""

    subject: str
    says: str
    wanted: float
    at_most: bool = False
    by_hand: str = ""
    """Why no run measures it."""

    def met(self, figure: float) -> bool:
        """Is this figure good enough?"""
        return figure <= self.wanted if self.at_most else figure >= self.wanted


CLONE: Final = "it downloads: git clone, then time make stage-1 demo"
TARGETS: Final = {
    "nats-1000": Target("brokers", "stages 1 to 3, 1000 messages in flight: 3 × nats-server", 3),
    "mosquitto-1000": Target("brokers", "stages 1 to 3, 1000 messages in flight: 50 × mosquitto", 50),
    "nats-10": Target("brokers", "stages 1 to 3, 10 messages in flight: 1.5 × nats-server", 1.5),
    "c": Target("brokers", "stages 1 to 3: 0.5 × the batching server in C", 0.5),
    "p99": Target("brokers", "stages 1 to 3, 500,000 deliveries/s: p99 latency 2 × the C server's", 2, at_most=True),
    "nginx": Target("brokers", "stage 4: 2 × nginx before the C server", 2),
    "handshakes": Target("arrivals", "stage 4: 0.8 × nginx's TLS handshakes a core", 0.8),
    "secure-memory": Target("arrivals", "stage 4: under 100 KB a member", 100e3, at_most=True),
    "joins-100": Target("arrivals", "stage 1: 10,000 joins/s a core into a room of 100", 10e3),
    "joins-5000": Target("arrivals", "stage 1: 1,000 joins/s a core into a room of 5,000", 1e3),
    "memory": Target("arrivals", "stages 1 to 3: under 8 KB a member", 8e3, at_most=True),
    "members": Target("arrivals", "stages 1 to 3: 5,000 members on one machine", 5000),
    "idle": Target("arrivals", "stages 1 to 3: idle CPU about zero (1 % of a core)", 0.01, at_most=True),
    "sealing": Target("boxes", "stage 5, one member to 100 peers: 0.5 × libsodium in C", 0.5),
    "relaying": Target("boxes", "stage 5: the server relays without reading", 1),
    "cracking": Target("cracking", "1 × the best hashlib loop per core", 1),
    "transcript-scapy": Target("captures", "a typed transcript: 50 × scapy's TCPSession", 50),
    "transcript-tshark": Target("captures", "a typed transcript: 10 × tshark -T fields", 10),
    "live": Target("live", "a live sniff of 50,000 packets/s, none lost", 50e3),
    "demo-pip": Target("people", "stage-1 demo from a clean clone, with pip: under 25 s", 25, True, CLONE),
    "demo-uv": Target("people", "stage-1 demo from a clean clone, with uv: under 8 s", 8, True, CLONE),
    "prompt": Target("people", "the client's prompt within 0.3 s", 0.3, at_most=True),
    "matrix": Target("people", "the matrix under 30 s", 30, at_most=True),
    "tests": Target(
        "people", "the test suite under 5 minutes on 2 cores", 300, True, "its own run shows it: make test"
    ),
    "calm": Target("calm", "under denial of service: p99 latency 5 × the calm one", 5, at_most=True),
}
"""By a short name, which a row of results has."""
