"""The probes of stage 5 about the client: what it does when the server shows it other keys than before."""

from base64 import b64encode
from typing import Any, Final

from nacl.public import PrivateKey

from lab.exercise.probes import Asking, probe

PLACE: Final = {"address": "10.13.37.22", "udp_port": 40022}
BOB_LEFT: Final = ["received", {"type": "left", "name": "bob"}]


def _key() -> str:
    return b64encode(bytes(PrivateKey.generate().public_key)).decode()


async def _effects(at: Asking, *steps: list[Any]) -> list[list[dict[str, Any]]]:
    """What each of these steps had as its effects, in Alice's client."""
    effects: list[list[dict[str, Any]]] = await at.call("client", "alice", list(steps))
    return effects


def _joined(name: str, key: str) -> list[Any]:
    return ["received", {"type": "joined", "name": name, "public_key": key, **PLACE}]


def _alarmed(effects: list[dict[str, Any]]) -> bool:
    return any(effect.get("show") == "alarm" for effect in effects)


def _sent(*effects: list[dict[str, Any]]) -> bool:
    return any("send" in effect or "datagram" in effect for some in effects for effect in some)


@probe
async def other_keys_are_told(at: Asking) -> str:
    """A changed key, one that is somebody else's, and another one in our own name: each is an alarm, none is used."""
    bobs, others = _key(), _key()
    cases = {
        "Bob came again with another key": _joined("bob", others),
        "Carol came with Bob's key": _joined("carol", bobs),
        "Somebody came in Alice's own name with another key": _joined("alice", others),
    }
    for what, joined in cases.items():
        spoken = [["say", "hello"], ["whisper", joined[1]["name"], "hello"]]
        *_, met, said, whispered = await _effects(at, _joined("bob", bobs), BOB_LEFT, joined, *spoken)
        if not _alarmed(met):
            return f"{what}, and Alice's screen shows no alarm."
        if _sent(said, whispered):
            return f"{what}, and what Alice said after that was sealed for it."
    return ""


@probe
async def known_keys_are_used(at: Asking) -> str:
    """Bob comes again with the key that he had: no alarm, and what is said goes to him."""
    joined = _joined("bob", _key())
    met, _, again, said = await _effects(at, joined, BOB_LEFT, joined, ["say", "hello"])
    if _alarmed(met) or _alarmed(again):
        return "Bob came again with the key that he had, and Alice is alarmed."
    return "" if _sent(said) else "Bob came again with the key that he had, and what Alice said was not sent to him."
