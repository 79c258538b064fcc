"""The certificates that the bench hands to an attacker who wants to be taken for the server, a case each.

Each is wrong in one way, and right in every other: made with the lab's own authority where the case needs it, as if
that authority had been asked for it. What a client leaves unlooked at, one of these gets through.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.client import TLS_NAME

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY: Final = datetime.timedelta(days=1)
WEAK_BITS: Final = 1024


@dataclass(frozen=True)
class Wish:
    """What a certificate shall say: by default what the server's own says."""

    name: str = TLS_NAME
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH
    since: datetime.timedelta = -DAY
    until: datetime.timedelta = DAY
    authority: bool = False
    key: Key = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))


@dataclass(frozen=True)
class Issuer:
    """Whoever signs: a certificate and its key."""

    certificate: x509.Certificate
    key: Key


def lab_authority(folder: Path) -> Issuer:
    """The lab's own authority, from its folder."""
    key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the lab's authority has a P-256 key")
    return Issuer(x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()), key)


def issued(wish: Wish, issuer: Issuer | None) -> x509.Certificate:
    """A certificate as wished, signed by the issuer, or by its own key where there is none."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wish.name)])
    signer = issuer.key if issuer else wish.key
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(("content_commitment", "data_encipherment", "key_agreement"), False)
    usage |= dict.fromkeys(("encipher_only", "decipher_only"), False)
    usage |= dict.fromkeys(("key_cert_sign", "crl_sign"), wish.authority)
    usage |= dict.fromkeys(("digital_signature", "key_encipherment"), not wish.authority)
    made = (
        x509.CertificateBuilder(issuer.certificate.subject if issuer else subject, subject, wish.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + wish.since)
        .not_valid_after(now + wish.until)
        .add_extension(x509.BasicConstraints(wish.authority, None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(wish.key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not wish.authority:
        made = made.add_extension(x509.ExtendedKeyUsage([wish.purpose]), critical=False)
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(wish.name)]), critical=False)
    return made.sign(signer, SHA256())


def pem(key: Key, *chain: x509.Certificate) -> bytes:
    """A key and the certificates that go with it, as one file for OpenSSL."""
    own = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return own + b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)


def _plain(wish: Wish) -> Callable[[Issuer], bytes]:
    """Signed by the lab's authority."""
    return lambda lab: pem(wish.key, issued(wish, lab))


def _self_signed(lab: Issuer) -> bytes:
    """Signed by nobody else."""
    wish = Wish()
    return pem(wish.key, issued(wish, None))


def _through(above: Wish, signed_by_lab: bool) -> Callable[[Issuer], bytes]:
    """Signed by somebody of Mallory's, whom the lab's authority may have certified for something else."""

    def make(lab: Issuer) -> bytes:
        middle, wish = issued(above, lab if signed_by_lab else None), Wish()
        return pem(wish.key, issued(wish, Issuer(middle, above.key)), middle)

    return make


def _cases() -> dict[str, Callable[[Issuer], bytes]]:
    right = Wish()
    weak = rsa.generate_private_key(65537, WEAK_BITS)
    return {
        "self-signed": _self_signed,
        "unknown-ca": _through(Wish(name="Mallory's own CA", authority=True), signed_by_lab=False),
        "wrong-name": _plain(replace(right, name="mallory.lab.test")),
        "expired": _plain(replace(right, since=-30 * DAY, until=-DAY)),
        "not-yet-valid": _plain(replace(right, since=DAY, until=30 * DAY)),
        "non-ca-issuer": _through(Wish(name="mallory.lab.test"), signed_by_lab=True),
        "client-certificate": _plain(replace(right, purpose=ExtendedKeyUsageOID.CLIENT_AUTH)),
        "weak-key": _plain(replace(right, key=weak)),
        "": _plain(right),  # for whoever has the authority's key there is nothing wrong with it
    }


def handed_out(case: str, authority: Path) -> bytes:
    """What Mallory gets in this case."""
    return _cases()[case](lab_authority(authority))
