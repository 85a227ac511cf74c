"""moto's server, which plays AWS: a program of its own environment, as what it is built on does not fit our pins.

Skipped where there is no `moto_server` (on the PATH, or where `MOTO_SERVER` says); `REQUIRE_MOTO=1` turns that into a
failure. Install it with `pip install 'moto[server]'` into an environment of its own.
"""

from __future__ import annotations

import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.controlplane.process import Server, free_port


@contextmanager
def started(folder: Path) -> Iterator[str]:
    """Its address."""
    program = os.environ.get("MOTO_SERVER") or shutil.which("moto_server")
    if program is None:
        if os.environ.get("REQUIRE_MOTO") == "1":
            pytest.fail("moto_server is not installed", pytrace=False)
        pytest.skip("moto_server is not installed")
    port = free_port()
    server = Server("moto", [program, "-H", "127.0.0.1", "-p", str(port)], folder / "moto.log")
    server.start()
    try:
        server.wait_ready(lambda: _get(f"http://127.0.0.1:{port}/moto-api/data.json"))
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


def _get(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
