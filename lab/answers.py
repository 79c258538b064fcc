"""What a question of the capture lab is: how an answer is read, and what is said of a wrong one.

A wrong number is looked up first among those that the question knows, then among what people do to numbers (another
base, bits, one beside, bytes in the other order), then among the other fields of the same headers.
"""

import re
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from attacks.packets import plain
from common.text import printable
from lab.facts import Facts, Seen
from lab.reading import name_of

LONGEST: Final = 60
"""An answer that is longer is none."""
FLAG_BITS: Final = {0x01: "FIN", 0x04: "RST", 0x02: "SYN", 0x08: "PSH", 0x20: "URG", 0x10: "ACK"}
"""In the order in which they count when several are named: FIN, ACK is FIN."""

Value = int | str


class Unreadable(ValueError):
    """What was given is no answer of the kind that is asked for; it does not count as one."""


def number(text: str) -> int:
    """A number as people write it: 3412098711, 3 412 098 711, 3,412,098,711, 0xcb60_3b57, 2 bytes, 16 bits (that is 2).

    Raises Unreadable.
    """
    plain = text.strip().lower()
    unit = re.fullmatch(r"(.*\d)\s*(bits?|bytes?|octets?|segments?|fields?|datagrams?)", plain)
    digits = unit[1] if unit else plain
    digits = re.sub(r"(?<=[0-9a-fx])[\s,_'’](?=[0-9a-f])", "", digits)
    digits = digits.replace(".", "") if re.fullmatch(r"\d{1,3}(\.\d{3})+", digits) else digits
    if len(plain) > LONGEST:
        raise Unreadable("That is too long for a number of any header.")
    if re.fullmatch(r"0x[0-9a-f]+", digits):
        value = int(digits, 16)
    elif re.fullmatch(r"[0-9]+(\.0)?", digits):
        value = int(digits.removesuffix(".0"))
    elif re.fullmatch(r"[0-9a-f]+", digits) and not digits.isdigit():
        raise Unreadable("That looks like hexadecimal; write 0x before it.")
    else:
        raise Unreadable("That is no number; type one such as 17, 3 412 098 711 or 0x11.")
    bits = unit is not None and unit[2].startswith("bit") and value % 8 == 0
    return value // 8 if bits else value


def frame_number(text: str) -> int:
    """The number of a frame. Raises Unreadable."""
    if "whisper-" in text:
        raise Unreadable("That is the secret itself, well found; asked for is the number of the frame that carries it.")
    return number(re.sub(r"^\s*(frame|no\.?|#)\s*", "", text, flags=re.IGNORECASE))


def flag(text: str) -> str:
    """One of TCP's flags: `FIN`, `[FIN, ACK]`, `0x011`. Raises Unreadable."""
    words = set(re.findall(r"[A-Z]+", text.upper()[:LONGEST]))
    if re.fullmatch(r"\s*(0x[0-9a-fA-F]{1,4}|[0-9]{1,3})\s*", text):
        bits = int(text.strip(), 0 if "x" in text.lower() else 10)
        words = {name for bit, name in FLAG_BITS.items() if bits & bit}
    words -= {"FLAG", "FLAGS", "AND", "THE", "X"}
    if not words or words - set(FLAG_BITS.values()):
        raise Unreadable("That is none of TCP's flags; they are SYN, ACK, PSH, FIN, RST and URG.")
    if len(words & {"FIN", "RST", "SYN"}) > 1:
        raise Unreadable("Those are several; name the one that ends a connection.")
    return next(name for name in FLAG_BITS.values() if name in words)


def member(text: str) -> str:
    """A host of the lab, by its name or address. Raises Unreadable."""
    name = name_of(text.strip().lower()[:LONGEST])
    if not re.fullmatch(r"[a-z0-9_.-]+", name):
        raise Unreadable("That is no host; give a name such as bob, or an address.")
    return name


@dataclass(frozen=True)
class Wrong:
    """Answers that people give, and what these are. In `says` stands {n} for the answer and {f} for the facts."""

    values: Callable[[Facts], Iterable[Value]]
    says: str


@dataclass(frozen=True)
class Question:
    """One question. `{f}` in its texts stands for the capture's facts.

    look: where the answer is seen. tshark: what to add to `tshark -r FILE`, if that helps; lab: the same with the
    lab's own command. tells: the answer, for whoever has tried often enough. why: what is said with a right answer.
    about_frame: the frame whose other numbers may be taken for the answer. absent: why some captures do not have it.
    """

    name: str
    asks: str
    right: Callable[[Facts], Collection[Value]]
    wrong: tuple[Wrong, ...]
    look: str
    tells: Callable[[Facts], str]
    why: str
    tshark: str = ""
    lab: str = "flow {f.path} --absolute"
    read: Callable[[str], Value] = number
    about_frame: Callable[[Facts], Seen | None] = lambda f: None
    applies: Callable[[Facts], bool] = lambda f: True
    absent: str = ""

    def praise(self, facts: Facts) -> str:
        """What is said with a right answer."""
        return f"Right. {self.why.format(f=facts)}"

    def about(self, value: Value, typed: str, facts: Facts) -> str:
        """What this wrong answer is."""
        for known in self.wrong:
            if value in known.values(facts):
                return known.says.format(n=shown(value), f=facts)
        if isinstance(value, int):
            also = ", and none of the other numbers in that frame's headers" if self.about_frame(facts) else ""
            return next(self._slips(value, typed, facts), f"{spaced(value)} is not it{also}.")
        return f"{printable(value)} is not it."

    def _slips(self, value: int, typed: str, facts: Facts) -> Iterator[str]:
        """What people do to numbers, and which other numbers stand beside the right one."""
        right = [each for each in self.right(facts) if isinstance(each, int)]
        n = shown(value)
        if re.fullmatch(r"[0-9]+", typed.strip()) and int(typed.strip(), 16) in right:
            yield f"{n} is written in hexadecimal; put 0x before it, or convert it."
        if any(value == 8 * each for each in right):
            yield f"{n} is the number of bits; bytes are asked for."
        if value in {_turned(each) for each in right if each > 0xFF}:
            yield f"{n} has the right bytes in the wrong order: on the network the most significant one comes first."
        if any(abs(value - each) == 1 for each in right):
            yield f"{n} is one beside it."
        frame = self.about_frame(facts)
        for name, other in (header(frame.frame) if frame else {}).items():
            if value == other:
                yield f"{n} stands in that frame too, but it is {name}."
        if frame and value == frame.number:
            yield f"{n} is the frame's own number, which Wireshark gives it."


def _turned(value: int) -> int:
    """The number, its bytes read from the other end."""
    size = 2 if value <= 0xFFFF else 4
    return int.from_bytes(value.to_bytes(size, "little"), "big")


def spaced(value: int) -> str:
    """3 412 098 711: so that it can be read."""
    return f"{value:,}".replace(",", " ")


def shown(value: Value) -> str:
    """An answer as it is said back."""
    return spaced(value) if isinstance(value, int) else printable(value)


def header(frame: bytes) -> dict[str, int]:
    """The numbers in a frame's IP and TCP or UDP header that a reader may take for one another."""
    whole = plain(frame) or frame
    total, identification = struct.unpack_from(">HH", whole, 16)
    source, target = struct.unpack_from(">HH", whole, 34)
    found = {
        "the source port": source,
        "the destination port": target,
        "the total length in the IP header": total,
        "the length of the whole frame": len(frame),
        "the identification in the IP header": identification,
        "the time to live in the IP header": whole[22],
    }
    if whole[23] == 17:
        length, checksum = struct.unpack_from(">HH", whole, 38)
        return found | {"the length in the UDP header": length, "the UDP checksum": checksum}
    window, checksum = struct.unpack_from(">HH", whole, 48)
    found |= {"the length of the TCP header": (whole[46] >> 4) * 4, "the window": window, "the TCP checksum": checksum}
    return found | _timestamps(whole[54 : 34 + (whole[46] >> 4) * 4])


def _timestamps(options: bytes) -> dict[str, int]:
    """TCP's timestamps (RFC 7323, section 3), where they are."""
    at = 0
    while at + 1 < len(options) and options[at]:
        if options[at] == 8 and at + 10 <= len(options):
            value, echo = struct.unpack_from(">II", options, at + 2)
            return {"the timestamp among TCP's options": value, "the echoed timestamp among TCP's options": echo}
        at += 1 if options[at] == 1 else max(options[at + 1], 2)
    return {}
