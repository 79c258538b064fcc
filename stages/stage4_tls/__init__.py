"""TLS: everything that goes to the server runs in TLS 1.3, with a certificate that clients verify."""

from typing import Final

PORT: Final = 5004
CHANGES: Final = (
    "tls.py",
    "compose.py",
    "what_if/verify.py",
    "what_if/starttls_opportunistic.py",
    "what_if/pin_server_key.py",
    "what_if/transport_static_rsa.py",
)
"""The files that differ from the stage before, the lever's own first; all others are byte-identical."""

WARNING: Final = (
    "This stage protects what goes to the server, but whispers can be recorded and sent again, and whoever runs the "
    "server can take the room key. Give the clients ca.pem by a way that you trust, with CA=."
)
