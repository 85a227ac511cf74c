"""Vaults of HashiCorp with the secrets that may be rotated in them: the `vaults` list of the `outside` block.

A playbook says the name of a secret. Its path, its key and what a new value looks like are the operator's.
"""

from __future__ import annotations

import math
import string
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from remediator.encrypted import only_encrypted
from remediator.playbooks.fields import NAME_PATTERN, Duration
from remediator.secret_files import Secret, Section

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
PATH = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){0,9}$"
VaultPath = Annotated[str, StringConstraints(pattern=PATH)]

ALPHABETS = {
    "alphanumeric": string.ascii_letters + string.digits,
    "hex": "0123456789abcdef",
    "base64url": string.ascii_letters + string.digits + "-_",
}
LEAST_BITS = 96
"""What nobody guesses, also not with a keyed hash of the value at hand."""


class VaultKubernetes(Section):
    """The Kubernetes auth method: the token of a service account for one of Vault's roles."""

    role: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")]
    token_file: Secret
    mount: VaultPath = "kubernetes"


class VaultAppRole(Section):
    """The AppRole auth method."""

    role_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]
    secret_id_file: Secret
    mount: VaultPath = "approle"


class VaultAuth(Section):
    """One of three ways in."""

    kubernetes: VaultKubernetes | None = None
    approle: VaultAppRole | None = None
    token_file: Secret | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(way is not None for way in (self.kubernetes, self.approle, self.token_file)) != 1:
            raise ValueError("give one of kubernetes, approle and token_file")
        return self


class VaultSecret(Section):
    """One key of one secret. `alphabet`: `alphanumeric`, `hex`, `base64url`, or the characters themselves."""

    name: Name
    path: VaultPath
    """Below the mount, without `data/`."""
    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$")]
    length: Annotated[int, Field(ge=12, le=512)] = 32
    alphabet: Annotated[str, Field(min_length=1, max_length=100)] = "alphanumeric"

    @field_validator("path")
    @classmethod
    def _no_periods(cls, path: str) -> str:
        if path.endswith(".") or path.startswith(("data/", "metadata/")):
            raise ValueError("path: the one that people see, without data/ in front and no period at its end")
        return path

    @model_validator(mode="after")
    def _hard_to_guess(self) -> Self:
        characters = self.characters
        if len(set(characters)) != len(characters) or any(not "!" <= one <= "~" for one in characters):
            raise ValueError("alphabet: different printable characters of ASCII without blanks, or one of the names")
        bits = self.length * math.log2(len(characters))
        if bits < LEAST_BITS:
            raise ValueError(f"length: {self.length} of {len(characters)} characters can be guessed; give more")
        return self

    @property
    def characters(self) -> str:
        return ALPHABETS.get(self.alphabet, self.alphabet)


class Vault(Section):
    """One KV version 2 engine, mounted at `mount`. `namespace` is a namespace of Vault Enterprise."""

    name: Name
    url: str = Field(pattern=r"^https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?$")
    mount: VaultPath = "secret"
    auth: VaultAuth
    secrets: tuple[VaultSecret, ...] = Field(min_length=1, max_length=200)
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{0,200}$")] = ""
    ca: Path | None = None
    timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=1))] = timedelta(seconds=10)
    """Of one request."""

    @field_validator("url")
    @classmethod
    def _encrypted(cls, url: str) -> str:
        return only_encrypted(url, "Vault")

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [secret.name for secret in self.secrets]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"secrets: {twice[0]!r} is there twice; give each its own name")
        return self
