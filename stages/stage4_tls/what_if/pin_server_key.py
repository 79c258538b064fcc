"""`pin_server_key=on`: a client remembers the server's public key, and takes no other from then on.

A remedy, not a weakness: an authority that was robbed, or that signs for whoever asks, cannot help an attacker who
comes after the first connection. What it costs: the first connection is believed, and a server that loses its key has
to explain itself to everybody. A new certificate for the same key changes nothing, so renewal goes unnoticed.
"""

import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.errors import LabError
from common.files import write_whole


def pin(context: ssl.SSLContext, file: Path) -> None:
    """Let every connection of this context end where the server's key is not the one in the file."""

    class Pinned(ssl.SSLObject):
        """A connection of an event loop."""

        def do_handshake(self) -> None:
            super().do_handshake()
            check(self.getpeercert(binary_form=True), file)

    class PinnedSocket(ssl.SSLSocket):
        """The same for `runtime=threads`."""

        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            check(self.getpeercert(binary_form=True), file)

    context.sslobject_class = Pinned
    context.sslsocket_class = PinnedSocket


def check(certificate: bytes | None, file: Path) -> None:
    """Remember the first key; refuse any other. Raises SSLCertVerificationError, before anything was sent."""
    key = x509.load_der_x509_certificate(certificate or b"").public_key()
    now = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        if not file.exists():
            write_whole(file, now, lasting=True)
        kept = file.read_bytes()
    except (LabError, OSError) as error:
        raise ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, str(error)) from None
    if kept != now:
        why = f"the server's key is not the one that is kept in {file.name}"
        raise ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, why)
