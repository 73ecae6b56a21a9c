"""Certificates as a Pravega server wants them: an authority, a server's certificate, and Java's two stores."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

STORE_PASSWORD = "1111_aaaa"  # the inner ZooKeeper takes no other
DAY = timedelta(days=1)
_PEM = serialization.Encoding.PEM


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


class Authority:
    """An authority of the tests' own; ``ca.crt`` in its folder is its certificate.

    Python 3.13 and later verify strictly: both certificates say what their keys are for and which key has signed them.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.file = folder, folder / "ca.crt"
        self._key = _key()
        basic = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._builder("the tests' authority", self._key, 1).add_extension(basic, critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256())
        self.file.write_bytes(self.certificate.public_bytes(_PEM))

    def _builder(self, subject: str, key: rsa.RSAPrivateKey, days: int) -> x509.CertificateBuilder:
        end = datetime.now(timezone.utc) + days * DAY
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("the tests' authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - 30 * DAY)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def vouch_for(self, host: str, days: int = 1) -> None:
        """Write server.key, server.crt, server.p12, trust.p12 and ks.pwd; with ``days`` below 0 it is out of date."""
        key = _key()
        # The inner ZooKeeper shows it as a client too.
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = self._builder(host, key, days).add_extension(uses, critical=False)
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        builder = builder.add_extension(names, critical=False).add_extension(_usage(False), critical=True)
        certificate = builder.sign(self._key, hashes.SHA256())
        locked = serialization.BestAvailableEncryption(STORE_PASSWORD.encode())
        plain = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        trusted = [pkcs12.PKCS12Certificate(self.certificate, b"ca")]
        for name, data in {
            "server.key": plain,
            "server.crt": certificate.public_bytes(_PEM),
            "server.p12": pkcs12.serialize_key_and_certificates(b"server", key, certificate, None, locked),
            "trust.p12": pkcs12.serialize_java_truststore(trusted, locked),
            "ks.pwd": STORE_PASSWORD.encode(),
        }.items():
            (self.folder / name).write_bytes(data)
