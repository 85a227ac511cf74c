"""A validating webhook that says no, for the real API server on this machine: TLS on loopback, its own CA."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.certificates import server_context
from tests.support.controlplane import ApiError, ControlPlane, wait_until

NAME = "deny.policy.example.com"


@contextmanager
def denying(plane: ControlPlane, folder: Path, user: str, message: str) -> Iterator[None]:
    """All that this user writes is refused with this message, rehearsals and evictions included; nobody else is asked
    about. In force when it begins. The user must be allowed to create ConfigMaps.
    """
    context, certificate = server_context(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(message))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    configuration = _configuration(f"https://127.0.0.1:{server.server_port}/", certificate.read_bytes(), user)
    try:
        plane.client.apply(configuration)
        yield
    finally:
        plane.client.delete("validatingwebhookconfigurations.admissionregistration.k8s.io", NAME)
        server.shutdown()
        server.server_close()
        thread.join(5)


def wait_until_denied(plane: ControlPlane, token: str, namespace: str) -> None:
    """The API server takes a moment until it asks a new webhook."""
    client = plane.client.with_token(token)
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}}

    def denied() -> bool:
        try:
            client.request("POST", client.path("configmaps", namespace), probe, query={"dryRun": "All"})
        except ApiError as exc:
            return NAME in str(exc)
        return False

    wait_until(denied, timeout_s=60, what="the webhook in force")


def _configuration(url: str, ca: bytes, user: str) -> dict[str, Any]:
    rule = {
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["*/*"],
    }
    webhook = {
        "name": NAME,
        "clientConfig": {"url": url, "caBundle": base64.b64encode(ca).decode()},
        "rules": [rule],
        # By the user and not by the namespace: nodes lie in none, and their kubelets must not wait for us.
        "matchConditions": [{"name": "one-user", "expression": f"request.userInfo.username == '{user}'"}],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 10,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [webhook],
    }


def _handler(message: str) -> type[BaseHTTPRequestHandler]:
    class Denies(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = {"code": 403, "message": message}
            response = {"uid": review["request"]["uid"], "allowed": False, "status": said}
            body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_request(self, *_: Any) -> None:
            """Not into the test's output."""

    return Denies
