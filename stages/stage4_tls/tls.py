"""TLS 1.3 (RFC 8446) to the server, and who is trusted. This is what the stage adds.

The lab has its own certification authority. Its certificate, `ca.pem`, reaches the clients out of band (`CA=`), and
they trust it and nothing else. The server proves with a certificate of this authority that it is `server.lab.test`,
whatever address was dialled. The authority's key is kept in a folder of its own: the server's key makes no other
certificate. But the server renews its certificate by itself, so its account must be able to read that folder.

The certificates are short-lived and remade before they expire. What stays is the authority and the server's key.
"""

import datetime
import ssl
import sys
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.errors import LabError
from common.files import write_whole

SERVER_NAME: Final = "server.lab.test"
CA_DAYS: Final = 365
SERVER_DAYS: Final = 30
RENEW_DAYS: Final = 10
"""A certificate with less than this left is made again."""
CLOCK_SKEW: Final = datetime.timedelta(days=2)
"""How far a clock may be behind the one by which a certificate was made; also our own, when somebody set it back."""


def server_context(folder: Path, authority: Path) -> ssl.SSLContext:
    """What the server speaks: TLS 1.3 and nothing older, with a certificate that is made anew before it expires."""
    renew(folder, authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # no connection is resumed, so no key of one has to outlive it
    certificate = load_certificate(context, folder)

    def hello(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Somebody connects. A server that runs for months must look at its certificate now and then."""
        nonlocal certificate
        if not lasts(certificate):
            try:
                renew(folder, authority)
                certificate = load_certificate(context, folder)  # whoever connects next gets it
            except LabError as error:  # as on a full disk; the old one is good for some days yet
                print(f"! The server's certificate cannot be renewed: {error}", file=sys.stderr, flush=True)

    context.sni_callback = hello
    return context


def load_certificate(context: ssl.SSLContext, folder: Path) -> x509.Certificate:
    """Let the server use the certificate in its folder, and return it. Raises LabError where OpenSSL cannot read it."""
    try:
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
    except OSError as error:  # ssl.SSLError is one
        raise LabError(
            f"{folder}/server.key and server.pem cannot be used ({error}); move both away, and new ones are made."
        ) from None
    return x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())


def client_context(ca_file: Path) -> ssl.SSLContext:
    """What a client accepts: this authority, the whole chain, the name, TLS 1.3.

    Each line stops an attack of its own: a self-signed certificate or an unknown authority; an old version of TLS; an
    authority that is none, or a certificate for another purpose (strict); a name that stands in a place where anything
    may stand; a key that is too short (level 2: 112 bits of security).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the chain, the dates, serverAuth and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.hostname_checks_common_name = False
    context.set_ciphers("DEFAULT@SECLEVEL=2")
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as error:
        raise LabError(
            f"{ca_file} is no authority's certificate ({error}); give the server's ca.pem with CA=."
        ) from None
    return context


def renew(folder: Path, authority: Path) -> None:
    """Make the authority where there is none, and the server's certificate where there is none that is good.

    Raises LabError where the authority's two files do not belong together: a new authority is one that no client
    trusts, so it is never made behind the operator's back.
    """
    ca_file = authority / "ca.pem"
    ca_key, ca = private_key(authority / "ca.key"), authority_in(ca_file)
    if ca and ca.public_key() != ca_key.public_key():
        raise LabError(
            f"{ca_file} is not the certificate of {authority}/ca.key; move both away, and give out a new one."
        )
    if not (ca and lasts(ca)):
        ca = authority_certificate(ca_key)  # of the same name and key: what clients have is good until it ends
        write(ca_file, ca.public_bytes(Encoding.PEM), 0o644)
    server_key, leaf = private_key(folder / "server.key"), certificate_in(folder / "server.pem")
    if not (leaf and is_good(leaf, server_key, ca) and is_alone(leaf, folder / "server.pem")):
        leaf = server_certificate(server_key.public_key(), ca, ca_key)
        write(folder / "server.pem", leaf.public_bytes(Encoding.PEM), 0o644)


def certificate_in(file: Path) -> x509.Certificate | None:
    """The certificate in this file; None where there is none, or where it is damaged."""
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (FileNotFoundError, ValueError, x509.InvalidVersion):
        return None
    except OSError as error:
        raise LabError(f"{file} cannot be read ({error.strerror}); mend that and start again.") from None


def authority_in(file: Path) -> x509.Certificate | None:
    """The authority's certificate; None where there is none, or where it is damaged: then it does not fit its own
    signature, though it may look like one."""
    ca = certificate_in(file)
    try:
        if ca:
            ca.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return None
    return ca


def is_good(leaf: x509.Certificate, key: ec.EllipticCurvePrivateKey, ca: x509.Certificate) -> bool:
    """Is this a certificate for this key, of this authority, and for some time yet?"""
    try:
        leaf.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return leaf.public_key() == key.public_key() and lasts(leaf)


def is_alone(leaf: x509.Certificate, file: Path) -> bool:
    """Is it all that the file holds? OpenSSL would send what comes after it, too."""
    return file.read_bytes() == leaf.public_bytes(Encoding.PEM)


def authority_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """The authority's own certificate: it may sign servers' certificates, and no other authority's."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Progressive Security Lab CA")])
    return (
        certificate(name, name, key.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )


def server_certificate(
    key: ec.EllipticCurvePublicKey, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """The server's certificate: for this one name, for TLS servers, signed by the authority."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVER_NAME)])
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        certificate(name, ca.subject, key, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(issuer_id, critical=False)
        .sign(ca_key, SHA256())
    )


def certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, days: int
) -> x509.CertificateBuilder:
    """What every certificate has: whose, by whom, which key, and from when to when."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def usage(*, sign_certificates: bool) -> x509.KeyUsage:
    """What a key may be used for: to sign certificates, or to sign TLS handshakes."""
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def private_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """The P-256 key in this file, made now where there is none. Raises LabError for a file that is none."""
    if not file.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    if file.stat().st_mode & 0o077:
        raise LabError(f"{file} can be read by others; close it with: chmod 600 {file}")
    try:
        loaded = load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LabError(f"{file} is no private key ({error}); move it away, and a new one is made.") from None
    if not (isinstance(loaded, ec.EllipticCurvePrivateKey) and isinstance(loaded.curve, ec.SECP256R1)):
        raise LabError(f"{file} is a private key of another kind; move it away, and a new one is made.")
    return loaded


def lasts(one: x509.Certificate) -> bool:
    """Is it good now, and for some time yet? A clock that was wrong may have made one that begins in a year."""
    now = datetime.datetime.now(datetime.UTC)
    return one.not_valid_before_utc <= now < one.not_valid_after_utc - datetime.timedelta(days=RENEW_DAYS)


def write(file: Path, text: bytes, mode: int) -> None:
    """Write a file whole or not at all, with this mode from the beginning."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(file, text, mode=mode)
