"""Fingerprint of an event's bytes. Separate from `dedup_key`, so that workers need not load pydantic. Pure."""

from _blake2 import blake2b  # not from hashlib: that loads OpenSSL, with 3 MiB, into each worker


def fingerprint(data: bytes) -> bytes:
    """Return a 16-byte hash of an event's bytes."""
    return blake2b(data, digest_size=16).digest()
