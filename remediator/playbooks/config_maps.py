"""Playbooks in ConfigMaps: each key that ends in .yaml or .yml is one file.

A reload reads files in a thread, and clusters are read in the event loop: `refresh` asks the API server before a scan,
`read` gives the scan what was found. A list that cannot be had is like a folder that cannot be listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from remediator.errors import ReadError
from remediator.objects import Kind, Object, dig, uid_of, version_of
from remediator.playbooks.folder import SUFFIXES, ReadFile, Signature, Unlisted
from remediator.playbooks.projects import Project
from remediator.ports import Cluster

CONFIG_MAP = Kind("ConfigMap", "v1", "configmaps")
"""Read for playbooks only, so it is none of the kinds that a playbook knows."""


@dataclass(slots=True)
class ConfigMapFiles:
    """The playbooks in the ConfigMaps of one namespace that a selector chooses."""

    cluster: Cluster
    namespace: str
    labels: str
    project: Project | None = None
    _found: Mapping[str, ReadFile] = field(default_factory=dict, init=False)
    _problem: str = field(default="not looked at yet", init=False)

    def source(self, name: str) -> str:
        """`name` is `MAP:KEY`, which no two files share: neither name may hold a colon."""
        return f"configmap {self.namespace}/{name}"

    async def refresh(self) -> None:
        """Ask the API server. Never raises what a cluster may say: the next `read` tells it."""
        try:
            answer = await self.cluster.list(CONFIG_MAP.kind, self.namespace, labels=self.labels)
        except ReadError as exc:
            self._problem = str(exc) or type(exc).__name__
        else:
            self._found = {name: file for obj in answer.items for name, file in _files(obj)}
            self._problem = ""

    def read(self, known: Mapping[str, Signature]) -> Mapping[str, ReadFile]:
        """Raises: Unlisted."""
        if self._problem:
            where = f"ConfigMaps {self.labels} in {self.cluster.name}/{self.namespace}"
            hint = "Check that they may be listed (configmaps, list); their playbooks stay as they are."
            raise Unlisted(where, f"cannot be listed: {self._problem}", hint)
        return self._found


def _files(config_map: Object) -> list[tuple[str, ReadFile]]:
    name = dig(config_map, "metadata", "name", default="")
    signature = (uid_of(config_map), version_of(config_map))
    data: Mapping[str, str] = dig(config_map, "data") or {}
    return [
        (f"{name}:{key}", ReadFile(signature, text.encode()))
        for key, text in sorted(data.items())
        if key.endswith(SUFFIXES) and not key.startswith(".")
    ]
