"""A real PostgreSQL for tests: a cluster in a folder of its own, loopback, a free port, ended with its tests.

It refuses to run as root, so root starts it as nobody. Skipped where no PostgreSQL 14 or newer is installed;
`REQUIRE_POSTGRES=1` turns that into a failure.
"""

from __future__ import annotations

import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from remediator.outside_databases import DatabaseSettings
from tests.support.controlplane.process import Server, free_port

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
OLDEST = 14
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "40",
    "fsync": "off",
    "autovacuum": "off",  # or it would hold locks, and vacuum, when it likes
    "shared_preload_libraries": "pg_stat_statements",
    "max_prepared_transactions": "5",
    "wal_level": "replica",
    "log_min_messages": "fatal",
}


def programs() -> Path | None:
    """The folder of the newest server programs, None where there are none."""
    found = [Path(path) for place in PLACES for path in glob.glob(place)]
    found += [Path(one).parent for one in (shutil.which("postgres"),) if one]
    usable = [(version, folder) for folder in found if (version := _version(folder)) >= OLDEST]
    return max(usable)[1] if usable else None


def _version(folder: Path) -> int:
    try:
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    number = re.search(r"\d+", said)
    return int(number[0]) if number and (folder / "initdb").exists() else 0


def _as_somebody() -> list[str]:
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []


class Postgres(Server):
    """A server whose superuser is `postgres`, whom everybody on loopback may claim to be; others have passwords."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self.port = free_port()
        self._bin, self._data = bin_folder, folder / "data"
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        argv = [*_as_somebody(), str(bin_folder / "postgres"), "-D", str(self._data), "-p", str(self.port), *settings]
        super().__init__("postgres", argv, folder / "log")

    def prepare(self) -> None:
        argv = [*_as_somebody(), str(self._bin / "initdb"), "-D", str(self._data), "-U", "postgres", "--no-sync"]
        argv += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        subprocess.run(argv, check=True, capture_output=True, cwd="/")
        (self._data / "pg_hba.conf").write_text(
            "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
            "host replication postgres 127.0.0.1/32 trust\n"
        )

    def address(self, database: str = "postgres", user: str = "postgres", password: str = "") -> str:
        return f"host=127.0.0.1 port={self.port} dbname={database} user={user} sslmode=disable" + (
            f" password={password}" if password else ""
        )

    def connect(self, database: str = "postgres", user: str = "postgres", **more: Any) -> psycopg.Connection[Any]:
        """A session in autocommit mode."""
        return psycopg.connect(self.address(database, user), autocommit=True, **more)

    def settings(self, **more: Any) -> DatabaseSettings:
        """How a configuration names database `shop` of this server; the role `remediator` has the rights we ask for."""
        given: dict[str, Any] = {
            "name": "orders-db",
            "host": "127.0.0.1",
            "port": self.port,
            "database": "shop",
            "user": "remediator",
            "password_file": {"value": "sesame-street"},
            "sslmode": "disable",
        }
        return DatabaseSettings.model_validate({**given, **more})

    def stop(self, *, grace_s: float = 0.0) -> None:
        """By a fast shutdown, so that no shared memory stays behind."""
        with suppress(RuntimeError, ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)
        super().stop(grace_s=grace_s or 10.0)


@contextmanager
def started() -> Iterator[Postgres]:
    """A server with database `shop`, its owner `shop_owner`, the application's role `shop_app`, and our own."""
    bin_folder = programs()
    if bin_folder is None:
        if os.environ.get("REQUIRE_POSTGRES") == "1":
            pytest.fail("no PostgreSQL 14 or newer is installed", pytrace=False)
        pytest.skip("no PostgreSQL 14 or newer is installed")
    # Not pytest's own folder, which only its user may enter.
    folder = Path(tempfile.mkdtemp(prefix="remediator-postgres-"))
    try:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        server = Postgres(folder, bin_folder)
        server.prepare()
        server.start()
        try:
            server.wait_ready(lambda: _prepared(server))
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_ROLES: Mapping[str, str] = {
    "shop_owner": "LOGIN PASSWORD 'owner-owner'",
    "shop_app": "LOGIN PASSWORD 'app-app-app'",
    "blind": "LOGIN PASSWORD 'sesame-street'",
    "remediator": "LOGIN PASSWORD 'sesame-street'",
}


def _prepared(server: Postgres) -> bool:
    with server.connect() as one:
        for name, how in _ROLES.items():
            one.execute(f"CREATE ROLE {name} {how}".encode())
        one.execute("GRANT pg_monitor, pg_signal_backend, shop_owner TO remediator")
        one.execute("CREATE DATABASE shop")
    with server.connect("shop") as one:
        one.execute("CREATE EXTENSION pg_stat_statements")
        one.execute("GRANT ALL ON SCHEMA public TO shop_owner, shop_app")
    return True
