"""`framing=none`: what arrives together is taken for one message, as in many a first tutorial.

Why it is wrong: TCP carries bytes, not messages (RFC 9293, section 3.8). Two messages sent one after the other
may arrive in one `recv`, and one message may arrive in two. This reader takes the first object of what arrived
and loses the rest without a word, so whoever can make two messages arrive together makes the second vanish.
"""


class WhateverArrives:
    """Stands where `common.wire.LineReader` stands."""

    def feed(self, data: bytes) -> list[bytes]:
        """One `recv`, one message."""
        first, _, _lost = data.partition(b"\n")
        return [first] if first else []

    def end(self) -> None:
        """There is never anything left."""
