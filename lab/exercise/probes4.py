"""The probes of stage 4: handshakes that must not succeed, with servers and clients of the bench's own.

Each has its counterpart that must succeed, so that a client which speaks with nobody meets none of them.
"""

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.exercise.probes import Asking, probe, scene_probe
from stages.stage4_tls import tls

SYSTEM: Final = "system"


def prepare(folder: Path) -> None:
    """What the learner's code takes for the authorities that this machine trusts: one of the bench's own."""
    tls.renew(folder / SYSTEM / "server", folder / SYSTEM / "ca")
    (folder / "given" / "authorities.pem").write_text(ca_of(folder / SYSTEM))


def _own(at: Asking) -> Path:
    """An authority that the client is given out of band, and a server's key and certificate of it."""
    folder = at.nursery.folder / "own"
    tls.renew(folder / "server", folder / "ca")
    return folder


def ca_of(folder: Path) -> str:
    """The authority's certificate, as it is given out of band."""
    return (folder / "ca" / "ca.pem").read_text()


def _server(folder: Path, newest: ssl.TLSVersion) -> ssl.SSLContext:
    """A server that speaks no newer TLS than this."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.load_cert_chain(folder / "server" / "server.pem", folder / "server" / "server.key")
    return context


@scene_probe
async def client_meets_its_server(at: Asking) -> str:
    """A server with a certificate of the given authority is spoken to."""
    own = _own(at)
    if not await at.client_meets(_server(own, ssl.TLSVersion.TLSv1_3), ca_of(own)):
        return "Your client refuses a server whose certificate is in order: for server.lab.test, by the ca.pem it has."
    return ""


@scene_probe
async def client_ignores_the_systems_store(at: Asking) -> str:
    """A certificate of an authority that the machine trusts, and the learner was not given, is refused."""
    own, foreign = _own(at), at.nursery.folder / SYSTEM
    if await at.client_meets(_server(foreign, ssl.TLSVersion.TLSv1_3), ca_of(own)):
        return (
            "Your client sent its password to a server whose certificate is by an authority that this machine trusts, "
            "but that is not the ca.pem it was given."
        )
    return ""


@scene_probe
async def client_refuses_older_tls(at: Asking) -> str:
    """A server that offers TLS 1.2 at most is refused."""
    own = _own(at)
    if await at.client_meets(_server(own, ssl.TLSVersion.TLSv1_2), ca_of(own)):
        return "Your client sent its password to a server that speaks TLS 1.2."
    return ""


def _variant(at: Asking, names: list[str], *, signs: bool) -> Path:
    """Another certificate of the right authority, for the same key: with these names in subjectAltName (its common name
    is the server's), and with the right to sign certificates, though it is no authority's."""
    own, folder = _own(at), at.nursery.folder / f"variant-{len(names)}-{signs}"
    shutil.copytree(own, folder, dirs_exist_ok=True)
    ca = load_pem_x509_certificate(ca_of(own).encode())
    ca_key, key = tls.private_key(own / "ca" / "ca.key"), tls.private_key(own / "server" / "server.key").public_key()
    whose = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, tls.SERVER_NAME)])
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    usage |= {"digital_signature": True, "key_cert_sign": signs, "crl_sign": False}
    made = (
        tls.certificate(whose, ca.subject, key, 20)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage, encipher_only=False, decipher_only=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    (folder / "server" / "server.pem").write_bytes(made.sign(ca_key, SHA256()).public_bytes(Encoding.PEM))
    return folder


@scene_probe
async def client_ignores_common_names(at: Asking) -> str:
    """A certificate whose name stands only where anything may stand is refused."""
    other = _variant(at, [], signs=False)
    if await at.client_meets(_server(other, ssl.TLSVersion.TLSv1_3), ca_of(other)):
        return (
            f"Your client sent its password to a server in whose certificate {tls.SERVER_NAME} is only the common "
            "name, where an authority lets anybody write what they like; it has no subjectAltName."
        )
    return ""


@scene_probe
async def client_is_strict(at: Asking) -> str:
    """A certificate that RFC 5280 forbids is refused."""
    other = _variant(at, [tls.SERVER_NAME], signs=True)
    if await at.client_meets(_server(other, ssl.TLSVersion.TLSv1_3), ca_of(other)):
        return (
            "Your client sent its password to a server whose certificate may sign others, though it is no authority's "
            "(VERIFY_X509_STRICT refuses what RFC 5280 forbids)."
        )
    return ""


@scene_probe
async def client_needs_an_authority(at: Asking) -> str:
    """Without a ca.pem, or with one that is none, nothing goes out: not in the clear either."""
    for what, ca in {"without a ca.pem": "", "with a ca.pem in which no certificate is": "nothing\n"}.items():
        if await at.client_meets(None, ca):
            return f"{what.capitalize()}, your client sent its password in the clear."
    return ""


async def _handshake(at: Asking, newest: ssl.TLSVersion) -> str:
    """The version that the learner's server agrees on with a client of this version; nothing where it refuses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is the version that is looked at
    context.maximum_version = newest
    try:
        _, writer = await asyncio.open_connection(
            sock=await at.dial(), ssl=context, server_hostname=tls.SERVER_NAME, ssl_handshake_timeout=3
        )
    except OSError:
        return ""
    version = str(writer.get_extra_info("ssl_object").version())
    writer.transport.abort()
    return version


@probe
async def server_refuses_older_tls(at: Asking) -> str:
    """The learner's server agrees on TLS 1.3, and with a client of TLS 1.2 on nothing."""
    async with at.server():
        if (version := await _handshake(at, ssl.TLSVersion.TLSv1_3)) != "TLSv1.3":
            return f"With a client that speaks TLS 1.3 your server agrees on {version or 'nothing'}."
        if version := await _handshake(at, ssl.TLSVersion.TLSv1_2):
            return f"With a client that speaks TLS 1.2 your server agrees on {version}."
    return ""


@probe
async def authority_is_apart(at: Asking) -> str:
    """Whoever takes the server's folder has the server's key, and not the authority's."""
    async with at.server() as server:
        authority = server.taken("ca").get("ca.pem")
        if authority is None:
            return "There is no ca.pem in the authority's folder, ca/ beside the server's, to be given to members."
        signer = load_pem_x509_certificate(authority).public_key()
        for name, data in server.taken("server").items():
            if b"PRIVATE KEY" in data and load_pem_private_key(data, None).public_key() == signer:
                return f"The authority's key is in the server's folder, as {name}."
    return ""
