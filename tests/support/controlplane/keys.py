"""A key for signing ServiceAccount tokens, made with the standard library alone."""

from __future__ import annotations

import base64
import secrets

# Order of the curve P-256: a private key is any number from 1 to one less.
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_OID = bytes.fromhex("06082a8648ce3d030107")


def private_key_pem() -> str:
    """A fresh P-256 private key as PEM (RFC 5915, whose public half is optional and computed by the reader)."""
    scalar = (secrets.randbelow(_P256_ORDER - 1) + 1).to_bytes(32, "big")
    parameters = b"\xa0" + bytes([len(_P256_OID)]) + _P256_OID
    content = b"\x02\x01\x01" + b"\x04\x20" + scalar + parameters
    der = base64.encodebytes(b"\x30" + bytes([len(content)]) + content).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{der}-----END EC PRIVATE KEY-----\n"
