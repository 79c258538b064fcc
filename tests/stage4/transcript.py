"""What stage 4 adds, frozen in transcript.txt: its certificates and its contexts, with keys, serials and clock pinned.

What the sessions say is what they said before, byte for byte; test_transcript.py says so, and there is no second copy.
Of a certificate all is frozen but the signature, in which ECDSA draws randomness of its own. tests/transcripts.py says
how to change it.
"""

import datetime
import itertools
import ssl
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from stages.stage4_tls import tls

START = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)


class Clock:
    """Stands where the module `datetime` stands; it goes when it is told to."""

    UTC = datetime.UTC
    timedelta = datetime.timedelta

    def __init__(self) -> None:
        self.days = 0
        self.datetime = SimpleNamespace(now=lambda zone: START + datetime.timedelta(days=self.days))


def transcript(folder: Path) -> str:
    """The first certificates, what either side accepts, and when they are made again."""
    clock, lines = Clock(), []
    server, authority = folder / "server", folder / "ca"
    with pytest.MonkeyPatch.context() as patch:
        pin(patch, clock)
        for clock.days in (0, 19, 20, 21, 354, 356):
            tls.renew(server, authority)
            lines.append(f"\n# After {clock.days} days")
            for file in (authority / "ca.pem", server / "server.pem"):
                lines += [file.name, *described(x509.load_pem_x509_certificate(file.read_bytes()))]
        contexts = {"server": tls.server_context(server, authority), "client": tls.client_context(authority / "ca.pem")}
    for name, context in contexts.items():
        lines += [f"\n# What a {name} accepts", *accepted(context)]
    return "".join(f"{line}\n" for line in lines)


def pin(patch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Keys and serial numbers are 1, 2, 3 …, and the clock is ours."""
    keys, serials = itertools.count(1), itertools.count(1)
    patch.setattr(tls, "datetime", clock)
    patch.setattr(ec, "generate_private_key", lambda curve: ec.derive_private_key(next(keys), curve))
    patch.setattr(x509, "random_serial_number", lambda: next(serials))


def described(certificate: x509.Certificate) -> list[str]:
    """All that a certificate says, and the hash of the very bytes that were signed."""
    key: Any = certificate.public_key()
    hashed: Any = certificate.signature_hash_algorithm
    fields = {
        "version": certificate.version.name,
        "serial": certificate.serial_number,
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "from": certificate.not_valid_before_utc.isoformat(),
        "until": certificate.not_valid_after_utc.isoformat(),
        "key": f"{key.curve.name}, x = {key.public_numbers().x:064x}",
        "signature": f"ECDSA, {hashed.name}",
        **{extension.oid._name: said(extension) for extension in certificate.extensions},
        "signed bytes (sha256)": sha256(certificate.tbs_certificate_bytes).hexdigest(),
    }
    return [f"    {name}: {value}" for name, value in fields.items()]


def said(extension: x509.Extension[Any]) -> str:
    """An extension: is it critical, and what is in it, as bytes (DER)."""
    return f"{'critical ' if extension.critical else ''}{extension.value.public_bytes().hex()}"


def accepted(context: ssl.SSLContext) -> list[str]:
    """What this side insists on. Ciphers are OpenSSL's own, and differ between its versions."""
    return [
        f"    oldest version: {context.minimum_version.name}",
        f"    certificate of the peer: {context.verify_mode.name}",
        f"    host name checked: {context.check_hostname}, common name: {context.hostname_checks_common_name}",
        f"    strict chain: {bool(context.verify_flags & ssl.VERIFY_X509_STRICT)}",
        f"    security level, where we set it: {context.security_level if context.check_hostname else '-'}",
        f"    authorities: {len(context.get_ca_certs())}",
    ]
