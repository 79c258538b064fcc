"""The probes of stage 1: whispers, from one member straight to another."""

from typing import Any, Final

from attacks.packets import dissected
from lab.exercise.probes import Asking, probe, scene_probe

ROSTER: Final = {
    "type": "roster",
    "members": [
        {"name": "alice", "address": "10.13.37.21", "udp_port": 40021},
        {"name": "bob", "address": "10.13.37.22", "udp_port": 40022},
    ],
}
MALLORY: Final = ["10.13.37.99", 6666]
BOB: Final = ["10.13.37.22", 40022]


def _whisper(sender: str, to: str, text: str) -> dict[str, str]:
    return {"type": "whisper", "from": sender, "to": to, "text": text}


async def _done(at: Asking, *steps: list[Any]) -> list[dict[str, Any]]:
    """What the last of these steps had as its effects, in Alice's client, after the roster came."""
    effects = await at.call("client", "alice", [["received", ROSTER], *steps])
    last: list[dict[str, Any]] = effects[-1]
    return last


def _whispers(effects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [effect for effect in effects if effect.get("show") == "whisper"]


def _datagrams(effects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [effect for effect in effects if "datagram" in effect]


@scene_probe
async def straight_to_the_peer(at: Asking) -> str:
    """Every packet with the whisper in it is UDP from Alice's host to Bob's."""
    hosts = at.bench.network.hosts
    canary = at.control.canaries["whisper"].encode() if at.control else b""
    packets = [dissected(frame) for _, frame in at.bench.recordings["control"].frames if canary in frame]
    if not packets:
        return "No packet with the whisper crossed the network."
    for packet in packets:
        if packet is None or packet.transport != "UDP" or packet.target[0] != hosts["bob"].address:
            where = f"{packet.transport} to {packet.target[0]}" if packet else "something else"
            return f"The whisper went as {where}; Bob's host is {hosts['bob'].address}, and it is UDP."
    return ""


@probe
async def whisper_is_a_datagram(at: Asking) -> str:
    """One datagram to the address of the roster, with the right fields."""
    effects = await _done(at, ["whisper", "bob", "come at nine"])
    if any("send" in effect for effect in effects):
        return "The whisper was sent to the server."
    if len(_datagrams(effects)) != 1:
        return f"A whisper to Bob made {len(_datagrams(effects))} datagrams, and not one."
    sent = _datagrams(effects)[0]
    if sent["to"] != BOB:
        return (
            f"It was addressed to {sent['to'][0]} port {sent['to'][1]}; in the roster Bob is at {BOB[0]} port {BOB[1]}."
        )
    if sent["datagram"] != _whisper("alice", "bob", "come at nine"):
        return f"The datagram is {str(sent['datagram'])[:200]}."
    return ""


@probe
async def answer_goes_to_the_roster(at: Asking) -> str:
    """After a datagram from elsewhere in Bob's name, a whisper to Bob still goes to Bob."""
    effects = await _done(
        at, ["datagram", _whisper("bob", "alice", "it is me"), MALLORY], ["whisper", "bob", "the safe opens with 1234"]
    )
    aims = [sent["to"] for sent in _datagrams(effects)]
    if aims != [BOB]:
        return (
            f"After a datagram in Bob's name from {MALLORY[0]} (which is Mallory), a whisper to Bob went to "
            f"{', '.join(f'{address} port {port}' for address, port in aims) or 'nobody'}."
        )
    return ""


@probe
async def follows_the_roster(at: Asking) -> str:
    """Who has come anew is at the new port; who has gone is not there."""
    joined = {"type": "joined", "name": "bob", "address": "10.13.37.22", "udp_port": 50022}
    effects = await _done(at, ["whisper", "bob", "hi"], ["received", joined], ["whisper", "bob", "hi"])
    if [sent["to"] for sent in _datagrams(effects)] != [["10.13.37.22", 50022]]:
        return "Bob came again, at another port, and a whisper to him did not go there."
    gone = await _done(at, ["received", {"type": "left", "name": "bob"}], ["whisper", "bob", "hi"])
    return "Bob has left, and a whisper to him was sent all the same." if _datagrams(gone) else ""


@probe
async def nobody_there(at: Asking) -> str:
    """A whisper to somebody who is not there is told, and not sent."""
    effects = await _done(at, ["whisper", "dave", "hi"])
    if any("datagram" in effect or "send" in effect for effect in effects):
        return "A whisper to Dave, who is not here, was sent."
    if not any(effect.get("show") in ("notice", "alarm") for effect in effects):
        return "A whisper to Dave, who is not here, was not sent, and Alice's screen says nothing about it."
    return ""


@probe
async def shown_as_a_whisper(at: Asking) -> str:
    """What arrives is shown as a whisper, under the name that it claims."""
    effects = await _done(at, ["datagram", _whisper("bob", "alice", "come at nine"), BOB])
    shown = _whispers(effects)
    if len(shown) != 1:
        return f"A whisper from Bob was shown as {str(effects)[:200]}."
    if (shown[0]["from"], shown[0]["text"]) != ("bob", "come at nine"):
        return f"A whisper from Bob was shown as {shown[0]['from']!r}: {shown[0]['text'][:60]!r}."
    return ""


@probe
async def strangers_are_dropped(at: Asking) -> str:
    """A datagram in a name that is not in the roster is not shown, and the person is told."""
    effects = await _done(at, ["datagram", _whisper("dave", "alice", "hello"), MALLORY])
    if _whispers(effects):
        return "A whisper from Dave, who is not here, was shown."
    if not any(effect.get("show") == "alarm" for effect in effects):
        return "A whisper from Dave, who is not here, was dropped without an alarm."
    return ""


@probe
async def others_mail_is_dropped(at: Asking) -> str:
    """A datagram for somebody else is not shown."""
    effects = await _done(at, ["datagram", _whisper("bob", "carol", "only for Carol"), BOB])
    return "A whisper that is addressed to Carol was shown to Alice." if _whispers(effects) else ""


@probe
async def nothing_raw_is_printed(at: Asking) -> str:
    """Control characters in a whisper do not reach the terminal past what shows effects."""
    effects = await _done(at, ["datagram", _whisper("bob", "alice", "hello\x1b[2Jworld"), BOB])
    if any("\x1b" in effect.get("printed", "") for effect in effects):
        return "Your code prints a whisper as it came: whoever sends it draws what they like on the terminal."
    return ""


@probe
async def join_names_the_port(at: Asking) -> str:
    """The first message has our name, and the UDP port that is ours."""
    effects = (await at.call("client", "alice", [["connected"]]))[-1]
    sent = [effect["send"] for effect in effects if "send" in effect]
    if sent != [{"type": "join", "name": "alice", "udp_port": 4000}]:
        return f"With the name alice and UDP port 4000 the client begins with {str(sent)[:200]}."
    return ""
