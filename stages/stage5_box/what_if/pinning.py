"""`pinning=…`: whose keys are believed.

none: whatever key the server names, each time anew. The server can put its own in place of anybody's.
verified: only keys whose safety number two people have compared (a remedy: it holds what the first use leaves open).
"""

from typing import Final

from ..pins import Meeting, Pins


class NoPins(Pins):
    """Stands where `Pins` stands; nothing is remembered and nothing is refused."""

    def meet(self, name: str, key: bytes) -> Meeting:
        return "known"

    def may_talk(self, name: str, key: bytes) -> bool:
        return True


class VerifiedPins(Pins):
    """Stands where `Pins` stands; a key is used once it was verified, and not before."""

    def may_talk(self, name: str, key: bytes) -> bool:
        return self.is_pinned(name, key) and self.known[name].verified

    def why_not(self, name: str, key: bytes) -> str:
        if self.is_pinned(name, key):
            return f"you have not compared keys; type /verify {name}"
        return super().why_not(name, key)


WAYS: Final[dict[str, type[Pins]]] = {"none": NoPins, "verified": VerifiedPins}
