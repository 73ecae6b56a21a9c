"""Fingerprint of an event's bytes. Separate from `dedup_key`, so that workers need not load pydantic. Pure."""

from hashlib import blake2b


def fingerprint(data: bytes) -> bytes:
    """Return a 16-byte hash of an event's bytes."""
    return blake2b(data, digest_size=16).digest()
