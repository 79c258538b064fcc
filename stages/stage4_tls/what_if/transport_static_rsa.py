"""`transport=tls-1.2-static-rsa`: TLS 1.2 with the key exchange that TLS 1.3 abolished.

Why it is wrong: the client makes a secret and sends it encrypted with the key in the server's certificate (RFC 5246,
section 7.4.7.1). Nothing fresh of the server's goes into it. So that one key, whenever it is stolen, opens every
connection that was ever recorded: there is no forward secrecy.
"""

import ssl
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .. import tls

BITS: Final = 2048
CIPHERS: Final = "AES256-GCM-SHA384:AES128-GCM-SHA256"
"""OpenSSL's names of the suites whose key exchange is RSA (RFC 5288)."""


def server_context(folder: Path, authority: Path) -> ssl.SSLContext:
    """What the server speaks, with a certificate of its own kind, made at every start: the default one stays."""
    tls.renew(folder, authority)
    key = rsa.generate_private_key(65537, BITS)
    ca = x509.load_pem_x509_certificate((authority / "ca.pem").read_bytes())
    own = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    tls.write(folder / "server-rsa.key", own, 0o600)
    leaf = certificate(key.public_key(), ca).sign(tls.private_key(authority / "ca.key"), SHA256())
    tls.write(folder / "server-rsa.pem", leaf.public_bytes(Encoding.PEM), 0o644)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    restrict(context)
    context.load_cert_chain(folder / "server-rsa.pem", folder / "server-rsa.key")
    return context


def restrict(context: ssl.SSLContext) -> None:
    """TLS 1.2, and nothing but this key exchange."""
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{CIPHERS}:@SECLEVEL=2")


def certificate(key: rsa.RSAPublicKey, ca: x509.Certificate) -> x509.CertificateBuilder:
    """As the default one, for another kind of key, which may be used to encrypt."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, tls.SERVER_NAME)])
    usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
    of_ca = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        tls.certificate(name, ca.subject, key, tls.SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(tls.SERVER_NAME)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_ca), critical=False)
    )
