"""What a scene draws before it begins: its canaries, its members' passwords, the ports of their whispers.

The one place where these are made. `Drawn` makes them anew for each run; `lab.students.Student` derives them, so that
a learner's capture is theirs and nobody else's. Whatever keeps a session secret is not drawn here and cannot be
derived: keys, nonces, sequence numbers and the room's passphrase are random in every run.
"""

import secrets
from random import Random, SystemRandom


class Drawn:
    """Drawn anew by the operating system, each time that it is asked."""

    def canary(self, kind: str) -> str:
        """A secret to be planted, such as whisper-5f0c19e2ab34."""
        return f"{kind}-{secrets.token_hex(6)}"

    def password(self, name: str) -> str:
        """A member's password."""
        return secrets.token_urlsafe(12)

    def udp_port(self, name: str) -> int:
        """Where a member hears whispers; 0 for whichever is free."""
        return 0

    def chance(self) -> Random:
        """What decides who says how much to whom, in the capture lab."""
        return SystemRandom()
