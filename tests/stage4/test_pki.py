"""The PKI audit in audits/stage4-tls.md: whom a client lets vouch for the server, what it looks at, and what not.

The eight certificates of `rogue_certificate` are in test_handshakes.py. Here are those that the matrix has no cell for:
some are refused, and some are taken although one might think otherwise. What is taken here is what the audit says is
not checked; whoever adds the check sees the test go red.
"""

import datetime
import ssl
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from common.client import TLS_NAME
from common.errors import LabError
from lab.certificates import DAY, WEAK_BITS, Issuer, Wish, issued, lab_authority, pem
from stages.stage4_tls import tls
from stages.stage4_tls.what_if import pin_server_key
from tests.stage4.test_tls import aged, folders, shake_hands

SERVER_NAME_INDICATION: Final = 0
STATUS_REQUEST: Final = 5
SIGNED_CERTIFICATE_TIMESTAMP: Final = 18


class Pki:
    """The lab's authority, a client that was given its certificate, and whoever answers the client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server, self.authority = folders(folder)
        tls.renew(self.server, self.authority)
        self.lab = lab_authority(self.authority)
        self.ca_file = self.authority / "ca.pem"

    def trusting(self, *pems: bytes) -> ssl.SSLContext:
        """A client whose ca.pem has these in it."""
        given = self.folder / "given.pem"
        given.write_bytes(b"".join(pems))
        return tls.client_context(given)

    def verdict(self, key_and_chain: bytes, client: ssl.SSLContext | None = None, name: str = TLS_NAME) -> str:
        """What the client says of whoever shows this: `taken`, or why not."""
        file = self.folder / "shown.pem"
        file.write_bytes(key_and_chain)
        answering = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        answering.load_cert_chain(file)
        try:
            shake_hands(answering, client or tls.client_context(self.ca_file), name)
        except ssl.SSLCertVerificationError as error:
            return getattr(error, "verify_message", "") or str(error)
        return "taken"

    def shown(self, wish: Wish, issuer: Issuer | None = None) -> bytes:
        """A key and a certificate as wished, of the lab's authority or of another."""
        return pem(wish.key, issued(wish, issuer or self.lab))


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def authority(name: str, *extensions: x509.ExtensionType, wish: Wish | None = None) -> Issuer:
    """An authority of its own, with further extensions."""
    wish = replace(wish or Wish(), name=name, authority=True)
    return Issuer(rebuilt(issued(wish, None), Issuer(issued(wish, None), wish.key), add=extensions), wish.key)


def rebuilt(
    base: x509.Certificate, issuer: Issuer, drop: str = "", add: Iterable[x509.ExtensionType] = ()
) -> x509.Certificate:
    """The same certificate, signed again, without the extension named and with these."""
    made = (
        x509.CertificateBuilder(base.issuer, base.subject, base.public_key(), base.serial_number)
        .not_valid_before(base.not_valid_before_utc)
        .not_valid_after(base.not_valid_after_utc)
    )
    for one in base.extensions:
        if type(one.value).__name__ != drop:
            made = made.add_extension(one.value, one.critical)
    for value in add:
        made = made.add_extension(value, critical=True)
    return made.sign(issuer.key, SHA256())


def text(certificate: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """As it stands in a file."""
    return certificate.public_bytes(Encoding.PEM)


def extensions_of(hello: bytes) -> set[int]:
    """The extensions of a ClientHello, as it is on the wire (RFC 8446, section 4.1.2)."""
    at = 5 + 4 + 2 + 32  # record header, handshake header, version, random
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2], "big")  # cipher suites
    at += 1 + hello[at] + 2  # compression methods, then the length of what follows
    found = set()
    while at < len(hello):
        found.add(int.from_bytes(hello[at : at + 2], "big"))
        at += 4 + int.from_bytes(hello[at + 2 : at + 4], "big")
    return found


def hello_of(context: ssl.SSLContext) -> bytes:
    """The first thing that a client says."""
    to_server = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), to_server, server_hostname=TLS_NAME).do_handshake()
    return to_server.read()


# What is looked at, beside what `rogue_certificate` shows.


def test_servers_own_certificate_is_taken(pki: Pki) -> None:
    assert pki.verdict(pki.shown(Wish())) == "taken"


def test_authority_below_the_labs_is_refused_by_the_length_of_the_path(pki: Pki) -> None:
    middle = Wish(name="an authority below", authority=True)
    below, wish = Issuer(issued(middle, pki.lab), middle.key), Wish()
    assert pki.verdict(pem(wish.key, issued(wish, below), below.certificate)) == "path length constraint exceeded"


def test_certificate_that_does_not_say_whose_it_is_is_refused_where_x509_is_strict(pki: Pki) -> None:
    wish = Wish()
    loose = pem(wish.key, rebuilt(issued(wish, pki.lab), pki.lab, drop="AuthorityKeyIdentifier"))
    assert pki.verdict(loose) == "Missing Authority Key Identifier"
    lax = tls.client_context(pki.ca_file)
    lax.verify_flags &= ~ssl.VERIFY_X509_STRICT
    assert pki.verdict(loose, lax) == "taken"


def test_name_counts_only_where_a_name_belongs(pki: Pki) -> None:
    wish = Wish()  # it has the right common name
    nameless = pem(wish.key, rebuilt(issued(wish, pki.lab), pki.lab, drop="SubjectAlternativeName"))
    assert pki.verdict(nameless).startswith("Hostname mismatch")
    lax = tls.client_context(pki.ca_file)
    lax.hostname_checks_common_name = True
    assert pki.verdict(nameless, lax) == "taken"
    assert pki.verdict(pki.shown(replace(wish, name="serv*.lab.test"))).startswith("Hostname mismatch")


def test_authority_with_a_short_key_is_refused(pki: Pki) -> None:
    weak = authority("a short key", wish=Wish(key=rsa.generate_private_key(65537, WEAK_BITS)))
    client = pki.trusting(text(weak.certificate))
    assert pki.verdict(pki.shown(Wish(), weak), client) == "CA certificate key too weak"
    client.set_ciphers("DEFAULT@SECLEVEL=1")
    assert pki.verdict(pki.shown(Wish(), weak), client) == "taken"


def test_constraint_that_an_authority_has_is_obeyed(pki: Pki) -> None:
    for domain, verdict in (("example.test", "permitted subtree violation"), ("lab.test", "taken")):
        bound = authority("bound", x509.NameConstraints([x509.DNSName(domain)], None))
        assert pki.verdict(pki.shown(Wish(), bound), pki.trusting(text(bound.certificate))) == verdict


def test_ca_pem_that_is_a_servers_certificate_vouches_for_nothing(pki: Pki) -> None:
    wish = Wish()
    own = issued(wish, pki.lab)
    assert pki.verdict(pem(wish.key, own), pki.trusting(text(own))) == "unable to get local issuer certificate"


def test_client_refuses_a_server_that_speaks_nothing_newer_than_tls_1_2(pki: Pki) -> None:
    old, lax = tls.server_context(pki.server, pki.authority), tls.client_context(pki.ca_file)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version|unsupported.protocol"):
        shake_hands(old, tls.client_context(pki.ca_file))
    lax.minimum_version = ssl.TLSVersion.TLSv1_2
    assert shake_hands(old, lax).version() == "TLSv1.2"


# What is not looked at.


def test_revoked_certificate_is_taken_even_where_the_list_lies_in_ca_pem(pki: Pki) -> None:
    now, wish = datetime.datetime.now(datetime.UTC), Wish()
    stolen = issued(wish, pki.lab)
    entry = x509.RevokedCertificateBuilder().serial_number(stolen.serial_number).revocation_date(now - DAY).build()
    listed = (
        x509.CertificateRevocationListBuilder(
            pki.lab.certificate.subject, now - DAY, now + DAY, revoked_certificates=[entry]
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(pki.lab.key.public_key()), critical=False)
        .add_extension(x509.CRLNumber(1), critical=False)
        .sign(pki.lab.key, SHA256())
    )
    told = pki.trusting(pki.ca_file.read_bytes(), text(listed))
    assert pki.verdict(pem(wish.key, stolen), told) == "taken"
    told.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    assert pki.verdict(pem(wish.key, stolen), told) == "certificate revoked"


def test_nobody_is_asked_about_revocation_and_no_log_is_asked_for(pki: Pki) -> None:
    asked = extensions_of(hello_of(tls.client_context(pki.ca_file)))
    assert SERVER_NAME_INDICATION in asked
    assert not asked & {STATUS_REQUEST, SIGNED_CERTIFICATE_TIMESTAMP}
    leaf = x509.load_pem_x509_certificate((pki.server / "server.pem").read_bytes())
    where = (
        x509.AuthorityInformationAccess,
        x509.CRLDistributionPoints,
        x509.PrecertificateSignedCertificateTimestamps,
    )
    assert not [one for one in leaf.extensions if isinstance(one.value, where)]


def test_labs_authority_may_vouch_for_any_name_in_the_world(pki: Pki) -> None:
    assert not [one for one in pki.lab.certificate.extensions if isinstance(one.value, x509.NameConstraints)]
    assert pki.verdict(pki.shown(Wish(name="www.example.com")), name="www.example.com") == "taken"


def test_second_authority_in_ca_pem_vouches_as_well(pki: Pki) -> None:
    other = authority("Mallory's own")
    mine = pki.shown(Wish(), other)
    assert pki.verdict(mine) == "unable to get local issuer certificate"
    assert pki.verdict(mine, pki.trusting(pki.ca_file.read_bytes(), text(other.certificate))) == "taken"


def test_certificate_for_no_purpose_is_for_every_purpose(pki: Pki) -> None:
    wish = Wish()
    assert pki.verdict(pem(wish.key, rebuilt(issued(wish, pki.lab), pki.lab, drop="ExtendedKeyUsage"))) == "taken"


def test_certificate_of_ten_years_and_one_for_all_of_the_domain_are_taken(pki: Pki) -> None:
    assert pki.verdict(pki.shown(Wish(until=3650 * DAY))) == "taken"
    assert pki.verdict(pki.shown(Wish(name="*.lab.test"))) == "taken"


def test_clock_that_is_slow_by_more_than_the_skew_refuses_a_fresh_certificate(pki: Pki) -> None:
    minute = datetime.timedelta(minutes=1)
    for late, verdict in (
        (tls.CLOCK_SKEW - minute, "taken"),
        (tls.CLOCK_SKEW + minute, "certificate is not yet valid"),
    ):
        fresh = Wish(since=late - tls.CLOCK_SKEW)  # made now, as a client sees it whose clock is so slow
        assert pki.verdict(pki.shown(fresh)) == verdict


def test_ca_pem_that_has_ended_vouches_for_nothing_until_it_is_given_out_anew(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tls, "CA_DAYS", -1)
        patch.setattr(tls, "CLOCK_SKEW", 2 * DAY)
        ended = tls.authority_certificate(pki.lab.key)  # type: ignore[arg-type]
    assert pki.verdict(pki.shown(Wish()), pki.trusting(text(ended))) == "certificate has expired"


# The keys.


def test_certificate_of_the_authoritys_stolen_key_is_taken_and_only_a_pin_tells_it_apart(pki: Pki) -> None:
    client, pinned = tls.client_context(pki.ca_file), tls.client_context(pki.ca_file)
    pin_server_key.pin(pinned, pki.folder / "server-key")
    shake_hands(tls.server_context(pki.server, pki.authority), pinned)
    forged = pki.shown(Wish())
    assert pki.verdict(forged, client) == "taken"
    assert pki.verdict(forged, pinned) == "the server's key is not the one that is kept in server-key"


def test_stolen_server_key_is_good_with_every_certificate_that_renewal_makes(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    stolen = (pki.server / "server.key").read_bytes()
    first = (pki.server / "server.pem").read_bytes()
    aged(pki.server, 1, monkeypatch)
    tls.renew(pki.server, pki.authority)
    renewed = (pki.server / "server.pem").read_bytes()  # whoever connects is shown it
    assert renewed != first
    assert pki.verdict(stolen + renewed) == "taken"
    (pki.server / "server.key").unlink()  # the only remedy; and the old certificate is good until it ends
    tls.renew(pki.server, pki.authority)
    assert (pki.server / "server.key").read_bytes() != stolen
    assert pki.verdict(stolen + renewed) == "taken"


def test_server_does_not_start_without_the_authoritys_key(pki: Pki) -> None:
    tls.server_context(pki.server, pki.authority)
    (pki.authority / "ca.key").unlink()
    with pytest.raises(LabError, match=r"ca\.pem is not the certificate of"):
        tls.server_context(pki.server, pki.authority)


def test_running_server_whose_authority_is_away_serves_with_the_old_certificate_and_its_operator_is_told(
    pki: Pki, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    context, client = tls.server_context(pki.server, pki.authority), tls.client_context(pki.ca_file)
    (pki.authority / "ca.key").rename(pki.folder / "on a stick")
    shake_hands(context, client)
    monkeypatch.setattr(tls, "RENEW_DAYS", tls.SERVER_DAYS + 1)
    shake_hands(context, client)  # the old certificate is good for a month
    told = capsys.readouterr().err
    assert told.startswith("! The server's certificate cannot be renewed: ")
    assert told.count("\n") == 1


def test_no_ticket_is_given_out_with_which_a_connection_could_be_resumed(pki: Pki) -> None:
    wires: list[ssl.MemoryBIO] = []
    context = tls.server_context(pki.server, pki.authority)
    end = shake_hands(context, tls.client_context(pki.ca_file), wires=wires)
    assert wires[1].pending == 0  # after the handshake the server says nothing of its own
    assert end.session
    assert not end.session.has_ticket
    generous = tls.server_context(pki.server, pki.authority)
    generous.num_tickets = 2
    end = shake_hands(generous, tls.client_context(pki.ca_file), wires=wires)
    assert wires[3].pending > 0
