"""`sniffer --read FILE`: the messages in a capture, as text, as JSON lines, or with the bytes of their frames.

What is found is printed while the file is being read; `print`, and nothing that colours or lays out, so that a million
messages are no burden and `| head` ends it quietly.
"""

import contextlib
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Final

import msgspec

import stages
from attacks.bpf import matching
from attacks.listener import Heard, Listener, Noticed, fields
from attacks.pcap import Frame
from attacks.sniffer import heard_in
from common.errors import LabError
from common.lan import PLAN, PREFIX
from common.loopback import PRIVATE, PUBLIC
from common.text import IPV4_PATTERN, printable
from stages import Stage

FLUSH_SECONDS: Final = 0.2
"""How long what was found may wait to be seen."""

_encode: Final = msgspec.json.Encoder().encode
_NAMES: Final = {str(last): name for name, last in PLAN.items()}


@dataclass(frozen=True)
class Wanted:
    """What of a capture is to be shown, and how.

    where: fields and what they must say, as `type=say`. follow: two hosts, or the number of a conversation.
    style: text, jsonl, hex, or json, which is one object. port: 0 for the stage's own. count: 0 for all.
    """

    bpf: str = ""
    where: tuple[str, ...] = ()
    follow: str = ""
    style: str = "text"
    port: int = 0
    count: int = 0


def name_of(address: str) -> str:
    """The name of a host of the lab, on either of its networks; of all others, the address."""
    network, _, last = address.rpartition(".")
    if network == PREFIX or re.fullmatch(rf"({PUBLIC}|{PRIVATE})\.\d+", network):
        return _NAMES.get(last, address)
    return address


def two_hosts(text: str) -> set[str]:
    """The two hosts of `alice,server` or `192.0.2.1,192.0.2.2`. Raises LabError."""
    hosts = {name_of(host.strip()) for host in text.split(",")}
    if len(hosts) != 2 or not all(host in PLAN or re.match(IPV4_PATTERN, host) for host in hosts):
        raise LabError(f"--follow takes two hosts, as in alice,server, or a conversation's number; {text} is neither.")
    return hosts


def _followed(text: str) -> Callable[[Heard], bool]:
    if re.fullmatch(r"[0-9]{1,9}", text):
        return lambda heard: heard.conversation == int(text)
    hosts = two_hosts(text)
    return lambda heard: {name_of(heard.source[0]), name_of(heard.target[0])} == hosts


def _said(condition: str) -> Callable[[Heard], bool]:
    """`from=alice`: does this field say that? Raises LabError for a field that no message has."""
    name, equals, wanted = condition.partition("=")
    known = sorted({field for message in fields().values() for field in message})
    if not equals or name not in known:
        raise LabError(f"--where is FIELD=VALUE; {condition} is not. The fields are: {', '.join(known)}.")
    return lambda heard: name in heard.fields and _text(heard.fields[name]) == wanted


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def chosen(path: Path, listener: Listener, wanted: Wanted) -> Iterator[tuple[Frame, Heard]]:
    """The messages that are asked for, each with its frame, as they are read. Raises LabError."""
    conditions = [_said(condition) for condition in wanted.where]
    conditions += [_followed(wanted.follow)] if wanted.follow else []
    found = heard_in(path, listener, matching(wanted.bpf) if wanted.bpf else None)
    if conditions:
        found = (pair for pair in found if all(condition(pair[1]) for condition in conditions))
    return islice(found, wanted.count or None)


def read_capture(stage: Stage, path: str, wanted: Wanted) -> int:
    """Print the messages in a capture. Raises LabError where it is none, is damaged, or has nothing of this stage.

    Whatever can be read before that is printed first. Returns the exit status.
    """
    listener = Listener(wanted.port or stage.port)
    found = chosen(Path(path), listener, wanted)
    with quiet_when_nobody_reads():
        if wanted.style == "json":
            _one_object(path, found)
        else:
            number = _lines(found, wanted.style, grows=not Path(path).is_file())
            if wanted.style != "jsonl":
                print(f"{number} messages of stage {stage.number} (port {listener.port}) in {path}.")
        for sentence in remarks(listener.noticed, listener.port):
            print(sentence, file=sys.stderr)
        if not (listener.met or wanted.bpf):
            raise _foreign(stage, path, listener)
    return 0


@contextlib.contextmanager
def quiet_when_nobody_reads() -> Iterator[None]:
    """Whoever read our output may have read enough, as in `| head`."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lines(found: Iterator[tuple[Frame, Heard]], style: str, *, grows: bool) -> int:
    """Print each message; how many there were. What comes out of a pipe as it happens is passed on as it happens."""
    show = {"text": _as_text, "jsonl": _as_json, "hex": _as_hex}[style]
    number, due = 0, 0.0
    for frame, heard in found:
        print(show(frame, heard))
        number += 1
        if grows or monotonic() > due:
            sys.stdout.flush()
            due = monotonic() + FLUSH_SECONDS
    return number


def _one_object(path: str, found: Iterator[tuple[Frame, Heard]]) -> None:
    rows: list[dict[str, Any]] = []
    try:
        rows.extend(row(frame, heard) for frame, heard in found)
    finally:
        print(json.dumps({"file": path, "messages": rows}, indent=2))


def row(frame: Frame, heard: Heard) -> dict[str, Any]:
    """A message as JSON has it."""
    return {
        "frame": frame.number,
        "time": frame.time,
        "interface": frame.interface,
        "comment": frame.comment,
        "conversation": heard.conversation,
        "transport": heard.transport,
        "from": heard.source,
        "to": heard.target,
        "message": heard.fields,
    }


def _as_json(frame: Frame, heard: Heard) -> str:
    try:
        line = _encode(row(frame, heard))
        if line.isascii():
            return line.decode()
    except UnicodeError:  # half a surrogate pair
        pass
    return json.dumps(row(frame, heard))  # slower, and escapes what could move a terminal


def _as_text(frame: Frame, heard: Heard) -> str:
    """A line; what somebody remarked about the frame comes below it."""
    ends = f"{name_of(heard.source[0])} → {name_of(heard.target[0])}"
    line = f"frame {frame.number:>4}  {heard.transport} #{heard.conversation} {ends}  {printable(heard.summary)}"
    return "\n".join([line, *(f"{'':12}» {printable(remark)}" for remark in frame.comment.splitlines())])


def _as_hex(frame: Frame, heard: Heard) -> str:
    """The whole frame under its line, sixteen bytes a row, as text2pcap takes it back."""
    rows = (frame.data[at : at + 16] for at in range(0, len(frame.data), 16))
    return "\n".join(
        [
            _as_text(frame, heard),
            *(f"{16 * i:06x}  {row.hex(' '):<47}  {_letters(row)}" for i, row in enumerate(rows)),
            "",
        ]
    )


def _letters(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)


def remarks(noticed: Noticed, port: int) -> list[str]:
    """What a reader should know about what was not shown, a line each."""
    told = {
        "Segments that came again and were left out": noticed.repeated,
        "Bytes missing from streams, and with them the lines they were in": noticed.missing,
        "IP fragments that were passed over": noticed.fragments,
        "Frames captured in part (capture whole ones: tcpdump -s 0)": noticed.cut,
        f"Bytes to and from port {port} that are no message that can be read here": noticed.unread,
    }
    return [f"{what}: {number}." for what, number in told.items() if number]


def _typed(path: str) -> str:
    """A file in a line to be typed; one whose name a shell would take for more than a name is not repeated there."""
    return path if shlex.quote(path) == path else "FILE"


def _foreign(stage: Stage, path: str, listener: Listener) -> LabError:
    """A capture in which nothing belongs to this stage; perhaps it belongs to another."""
    others = [n for n, other in stages.catalogue().items() if other.port in listener.noticed.ports]
    if others:
        n = others[0]
        return LabError(
            f"{path} has nothing of stage {stage.number} (port {listener.port}) in it, but of stage {n}; "
            f'read it there: make stage-{n} sniffer ARGS="--read {_typed(path)}"'
        )
    return LabError(
        f"There is no chat in {path}: nothing goes to or from port {listener.port}, and no datagram is a whisper; "
        "where the server had another port, add --port."
    )
