"""A certificate for 127.0.0.1 that nobody has signed, made by openssl."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


def server_context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """What a server needs, and the file by which a client may trust it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    asked = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *asked, *subject, *files], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
