"""Where the API server is and who we are to it: a pod's service account, or a kubeconfig with all its plugins."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from remediator.errors import InvalidConfig

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

TOKEN_AGE_S = 60.0
"""How long a token read from a file is used. The kubelet replaces it at 80 % of its life, at the least 10 minutes."""

PLUGIN_TIMEOUT_S = 20.0
"""Limit for a credential plugin (aws, gke-gcloud-auth-plugin), which may wait for a browser that nobody opens."""

Configuration = Any
"""kubernetes_asyncio's Configuration: host, api_key, ssl_ca_cert, cert_file, key_file, ..."""


class Credentials(Protocol):
    """Fills a Configuration, at the start and again when the API server no longer accepts what it got."""

    async def load(self, configuration: Configuration) -> None:
        """Raises: InvalidConfig."""
        ...


class TokenFile:
    """A bearer token that somebody else keeps fresh in a file."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._token = ""
        self._read_at = 0.0

    def header(self) -> str:
        """The Authorization value, from the file at most once a minute. Raises: InvalidConfig."""
        if not self._token or self._clock() - self._read_at >= TOKEN_AGE_S:
            self.read()
        return f"Bearer {self._token}"

    def read(self) -> None:
        """Read the file now. Raises: InvalidConfig."""
        try:
            token = self._path.read_text().strip()  # a trailing newline would make an illegal header
        except (OSError, UnicodeError) as exc:
            raise InvalidConfig(f"cannot read the Kubernetes token file {self._path}: {exc}") from exc
        if not token:
            raise InvalidConfig(f"the Kubernetes token file {self._path} is empty")
        self._token = token
        self._read_at = self._clock()

    def attach(self, configuration: Configuration) -> None:
        """Use this token for every request made with `configuration`. Raises: InvalidConfig."""
        self.read()

        def refresh(current: Configuration) -> None:
            try:
                current.api_key["BearerToken"] = self.header()
            except InvalidConfig:
                # A file that is just being replaced: the old token is good for a while, and a 401 will tell.
                current.api_key["BearerToken"] = f"Bearer {self._token}"

        configuration.api_key["BearerToken"] = self.header()
        configuration.refresh_api_key_hook = refresh


@dataclass(frozen=True, slots=True)
class InCluster:
    """The service account that Kubernetes gives to a pod."""

    token_file: Path = SERVICE_ACCOUNT / "token"
    ca_file: Path = SERVICE_ACCOUNT / "ca.crt"
    environ: Mapping[str, str] | None = None

    async def load(self, configuration: Configuration) -> None:
        environ = os.environ if self.environ is None else self.environ
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
        if not host or not port:
            raise InvalidConfig("not inside a Kubernetes pod (no KUBERNETES_SERVICE_HOST): name a kubeconfig")
        configuration.host = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        configuration.ssl_ca_cert = str(self.ca_file)
        TokenFile(self.token_file).attach(configuration)


@dataclass(frozen=True, slots=True)
class KubeConfig:
    """A context of a kubeconfig: token, token file, client certificate, OIDC or an exec plugin."""

    path: Path
    context: str | None
    load_kube_config: Callable[..., Any]
    """The library's loader, handed in because importing it is `transport.py`'s business."""
    token_file: Path | None = None
    """Replaces the context's own credentials."""

    async def load(self, configuration: Configuration) -> None:
        if not self.path.expanduser().is_file():
            raise InvalidConfig(f"there is no kubeconfig {self.path}")
        try:
            async with asyncio.timeout(PLUGIN_TIMEOUT_S):
                await self.load_kube_config(
                    config_file=str(self.path.expanduser()),
                    context=self.context,
                    client_configuration=configuration,
                    persist_config=False,  # the file is its owner's
                )
        except Exception as exc:  # the loader runs plugins, parses YAML and JWTs and raises whatever these raise
            raise InvalidConfig(f"cannot use kubeconfig {self.path}: {type(exc).__name__}: {exc}") from exc
        if self.token_file is not None:
            configuration.cert_file = configuration.key_file = None
            TokenFile(self.token_file).attach(configuration)
