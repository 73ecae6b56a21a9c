"""The gate's key and certificate, and the certificates that it gives to guests.

Certificates are compared by fingerprints, never by dates, since a guest's clock may be wrong: they have no end.
The package cryptography is imported late: most processes only compare.
"""

from __future__ import annotations

import hashlib
import ssl
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamcli.log.gate.tls import GATE_NAME
from streamcli.system import private_files
from streamcli.system.locks import locked
from streamcli.system.paths import ensure_dir

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_FIRST = datetime(2000, 1, 1, tzinfo=timezone.utc)
_LAST = datetime(9999, 12, 31, tzinfo=timezone.utc)


class GateKeys:
    """The gate's key and certificate in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key, self.certificate = folder, folder / "gate.key", folder / "gate.crt"

    def ensure(self) -> None:
        """Make key and certificate if they are missing. Raises CannotCreate or FileTrouble."""
        ensure_dir(self.folder)
        with locked(self.folder / "keys.lock"):
            if self.key.exists() and self.certificate.exists():
                return
            from cryptography.hazmat.primitives.serialization import Encoding

            key = _new_key()
            certificate = _signed(GATE_NAME, key.public_key(), GATE_NAME, key, authority=True)
            private_files.write(self.key, _pem(key))
            private_files.write(self.certificate, certificate.public_bytes(Encoding.PEM))

    def der(self) -> bytes:
        """Return the certificate (DER). Raises OSError."""
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())

    def sign(self, name: str, public_key: str) -> str:
        """Return a certificate (PEM) for a guest's public key (PEM). Raises ValueError for anything else."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

        try:
            public = serialization.load_pem_public_key(public_key.encode())
        except UnsupportedAlgorithm as error:
            raise ValueError(str(error)) from error
        if not isinstance(public, EllipticCurvePublicKey) or not isinstance(public.curve, SECP256R1):
            raise ValueError("not a key of the kind that guests make")
        key: Any = serialization.load_pem_private_key(self.key.read_bytes(), None)
        signed = _signed(name, public, GATE_NAME, key, authority=False)
        return str(signed.public_bytes(serialization.Encoding.PEM).decode())


def new_guest_key() -> tuple[str, str]:
    """Return a new key of a guest's, and its public half (PEM)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _new_key()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return _pem(key).decode(), public.decode()


def public_half(key: str) -> str:
    """Return the public half (PEM) of a guest's key (PEM). Raises ValueError."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    public = load_pem_private_key(key.encode(), None).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def fingerprint_of(certificate: bytes) -> str:
    """Return the fingerprint of a certificate (DER)."""
    return hashlib.sha256(certificate).hexdigest()


def server_context(keys: GateKeys) -> ssl.SSLContext:
    """Return the gate's side of TLS: a client may show a certificate, if the gate has signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(keys.certificate, keys.key)
    context.load_verify_locations(keys.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # no connection is resumed
    return context


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _signed(name: str, public: Any, issuer: str, key: EllipticCurvePrivateKey, authority: bool) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    # Python 3.13 demands both identifiers.
    builder = x509.CertificateBuilder(
        issuer_name=called(issuer),
        subject_name=called(name),
        public_key=public,
        serial_number=x509.random_serial_number(),
        not_valid_before=_FIRST,
        not_valid_after=_LAST,
    )
    for extension, critical in (
        (x509.BasicConstraints(ca=authority, path_length=0 if authority else None), True),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())
