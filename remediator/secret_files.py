"""Secrets in the configuration: by the path of a file, so that no secret is in it, its environment, or its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from remediator.errors import InvalidConfig

NO_PATH = "expected the path of a file that holds the secret, such as /etc/remediator/secrets/NAME/KEY"


class Section(BaseModel):
    """One section of the configuration; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Secret(Section):
    """A secret from a file (read at start and at every reload), or given in place for experiments."""

    file: Path | None = None
    value: SecretStr | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if not value.startswith(("/", "./", "../")):
            raise ValueError(NO_PATH)  # without the text: it may be the secret
        return {"file": value}

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.value is None):
            raise ValueError("give the path of a file that holds the secret (or {value: ...} for experiments)")
        return self

    def read(self) -> str:
        """The secret without surrounding white space. Raises: InvalidConfig."""
        if self.value is not None:
            return self.value.get_secret_value()
        assert self.file is not None
        try:
            text = self.file.read_text(encoding="utf-8").strip()
        except OSError as exc:
            raise InvalidConfig(f"secret file {self.file} cannot be read: {exc.strerror}") from exc
        if not text:
            raise InvalidConfig(f"secret file {self.file} is empty")
        return text
