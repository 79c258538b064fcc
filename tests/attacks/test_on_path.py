"""What whoever is on the path makes of a stream: lines, up to where it is encrypted."""

import pytest

from attacks.on_path import Pieces

TLS = b"\x16\x03\x01\x02\x00\x01\n\x16 and so on\n"
"""As a TLS connection begins; newlines mean nothing in it."""


def cut(*arrived: bytes) -> list[tuple[bytes, bytes]]:
    """Each piece, and what goes behind it."""
    pieces = Pieces()
    return [(piece, pieces.ending) for data in arrived for piece in pieces.feed(data)]


@pytest.mark.parametrize(
    ("arrived", "found"),
    [
        ([b'{"a":1}\n{"b":2}\n'], [(b'{"a":1}', b"\n"), (b'{"b":2}', b"\n")]),
        ([b'{"a', b'":1', b"}\n"], [(b'{"a":1}', b"\n")]),
        ([b'{"a":1}'], []),
        ([b"\n\n"], [(b"", b"\n"), (b"", b"\n")]),
        ([TLS], [(TLS, b"")]),
        ([TLS, b"more\n"], [(TLS, b""), (b"more\n", b"")]),
        ([b'{"a":1}\n' + TLS], [(b'{"a":1}', b"\n"), (TLS, b"")]),
        ([b'{"a', TLS], [(b'{"a' + TLS[:6], b"\n"), (TLS[7:], b"")]),
    ],
    ids=["lines", "in parts", "no end", "empty lines", "TLS", "TLS goes on", "TLS after a line", "not within a line"],
)
def test_stream_is_cut_into_lines_up_to_where_it_is_encrypted(
    arrived: list[bytes], found: list[tuple[bytes, bytes]]
) -> None:
    assert cut(*arrived) == found
