"""A small kubectl in Python, for arranging tests and looking at what came of them.

Deliberately not the service's own client: a test must not lean on the code it tests. Objects are plain dicts.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Object = dict[str, Any]
Objects = list[Object]  # KubeClient.list hides the builtin inside the class

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
# Where a bare plural such as "deployments" is looked for. Others are asked for as "plural.group".
COMMON_GROUPS = (
    "v1",
    "apps/v1",
    "batch/v1",
    "policy/v1",
    "autoscaling/v2",
    "rbac.authorization.k8s.io/v1",
    "coordination.k8s.io/v1",
    "apiextensions.k8s.io/v1",
    "storage.k8s.io/v1",
    "discovery.k8s.io/v1",
    "networking.k8s.io/v1",
)


class ApiError(Exception):
    """An answer of 400 or above. `body` is the Status object, or the text when the server did not send JSON."""

    def __init__(self, code: int, body: Any) -> None:
        self.code = code
        self.body = body
        self.reason: str = body.get("reason", "") if isinstance(body, dict) else ""
        message = body.get("message", body) if isinstance(body, dict) else body
        super().__init__(f"{code} {self.reason}: {message}")


@dataclass(frozen=True, slots=True)
class KubeClient:
    """Speaks to the API server as one identity. Methods raise ApiError.

    Resources are named by plural: "deployments", or "certificates.cert-manager.io" for one outside the common groups.
    """

    url: str
    ca_file: str
    token: str = field(repr=False)
    user_agent: str = "test-arrangement"
    """Tells a test's own writes from those of the service in the audit log."""
    timeout_s: float = 30.0
    _tls: ssl.SSLContext | None = field(default=None, repr=False)
    _discovered: dict[str, Objects] = field(default_factory=dict, repr=False)

    def with_token(self, token: str) -> KubeClient:
        """The same server as somebody else."""
        return replace(self, token=token)

    # --- requests ---

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """One request. `body` is sent as JSON, a str or bytes as it is. Returns parsed JSON, or the text."""
        if query:
            path = f"{path}?{urllib.parse.urlencode(query)}"
        data = body.encode() if isinstance(body, str) else body
        if data is not None and not isinstance(data, bytes):
            data = json.dumps(data).encode()
        headers = {"Authorization": f"Bearer {self.token}", "User-Agent": self.user_agent, "Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = content_type
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s, context=self._context()) as answer:
                return parsed(answer.read())
        except urllib.error.HTTPError as exc:
            with exc:
                raise ApiError(exc.code, parsed(exc.read())) from None

    def get(self, resource: str, name: str, namespace: str | None = None, *, subresource: str = "") -> Any:
        return self.request("GET", self.path(resource, namespace, name, subresource))

    def list(self, resource: str, namespace: str | None = None, *, labels: str = "") -> Objects:
        query = {"labelSelector": labels} if labels else None
        items: Objects = self.request("GET", self.path(resource, namespace), query=query)["items"]
        return items

    def create(self, obj: Object, namespace: str | None = None, **query: str) -> Object:
        """POST an object; `namespace` fills in a missing metadata.namespace."""
        created: Object = self.request("POST", self._collection(obj, namespace), obj, query=query)
        return created

    def patch(
        self,
        resource: str,
        name: str,
        body: object,
        namespace: str | None = None,
        *,
        patch_type: str = "merge",
        subresource: str = "",
        **query: str,
    ) -> Object:
        """`patch_type` is merge, strategic, json or apply; further keywords are query options such as dryRun="All"."""
        path = self.path(resource, namespace, name, subresource)
        patched: Object = self.request("PATCH", path, body, query=query, content_type=PATCH_TYPES[patch_type])
        return patched

    def apply(self, obj: Object, namespace: str | None = None) -> Object:
        """Server-side apply with force: create the object or bring it to this shape."""
        path = f"{self._collection(obj, namespace)}/{obj['metadata']['name']}"
        query = {"fieldManager": self.user_agent, "force": "true"}
        applied: Object = self.request("PATCH", path, obj, query=query, content_type=PATCH_TYPES["apply"])
        return applied

    def delete(self, resource: str, name: str, namespace: str | None = None, options: Object | None = None) -> Any:
        """DELETE in the background; gone already is fine. Query options would be ignored: all go into the body."""
        body = {"propagationPolicy": "Background", **(options or {})}
        try:
            return self.request("DELETE", self.path(resource, namespace, name), body)
        except ApiError as exc:
            if exc.code != 404:
                raise
        return None

    def evict(self, pod: str, namespace: str, **query: str) -> Any:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        return self.request("POST", self.path("pods", namespace, pod, "eviction"), body, query=query)

    def logs(self, pod: str, namespace: str, *, previous: bool = False, **query: str) -> str:
        """The log as text, also when it happens to be JSON."""
        query = {"previous": "true", **query} if previous else query
        text = self.request("GET", self.path("pods", namespace, pod, "log"), query=query)
        return text if isinstance(text, str) else json.dumps(text)

    # --- paths ---

    def path(self, resource: str, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """The URL path of a collection, an object or a subresource."""
        plural, _, group = resource.partition(".")
        versions = self._versions(group) if group else COMMON_GROUPS
        for version in versions:
            if any(found["name"] == plural for found in self._resources(version)):
                return "/".join(filter(None, (_root(version, namespace), plural, name, subresource)))
        raise LookupError(f"the API server knows no resource {resource}")

    def _collection(self, obj: Object, namespace: str | None) -> str:
        version, kind = obj["apiVersion"], obj["kind"]
        for found in self._resources(version):
            if found["kind"] == kind and "/" not in found["name"]:
                inside = obj["metadata"].get("namespace") or namespace if found["namespaced"] else None
                return f"{_root(version, inside)}/{found['name']}"
        raise LookupError(f"the API server knows no kind {kind} in {version}")

    def _versions(self, group: str) -> tuple[str, ...]:
        return (self.request("GET", f"/apis/{group}")["preferredVersion"]["groupVersion"],)

    def _resources(self, version: str) -> Objects:
        """Discovery of one group version. Custom ones are asked for anew: a CRD may have come since."""
        if version not in self._discovered or version not in COMMON_GROUPS:
            self._discovered[version] = self.request("GET", _root(version, None))["resources"]
        return self._discovered[version]

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            # Made once: loading certificates costs more than the request. The dataclass is frozen for its users only.
            object.__setattr__(self, "_tls", ssl.create_default_context(cafile=self.ca_file))
        assert self._tls is not None
        return self._tls


def _root(version: str, namespace: str | None) -> str:
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{base}/namespaces/{namespace}" if namespace else base


def parsed(data: bytes) -> Any:
    """The body of an answer: JSON when it is, else its text."""
    text = data.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
