"""An OTLP/HTTP receiver that reads what it gets: protobuf, perhaps gzipped, with the credentials that it wants."""

from __future__ import annotations

import gzip
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.fake_http import FakeServer

TOKEN = "otlp-token-0123456789"
TRACES = "traces"


class FakeOtlp(FakeServer):
    """`spans` in the order in which they came; `resource` of the last export."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Any] = []
        self.resource: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"{self.root}/v1/traces"

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/traces", self._traces)
        return app

    async def _traces(self, request: web.Request) -> web.StreamResponse:
        return await self.guarded(TRACES, request, self._take, lambda error: web.Response(status=400, text=error))

    async def _take(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        if request.content_type != "application/x-protobuf":
            return web.Response(status=415)
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        asked = ExportTraceServiceRequest()
        asked.ParseFromString(body)
        for of_resource in asked.resource_spans:
            self.resource = {a.key: a.value.string_value for a in of_resource.resource.attributes}
            for of_scope in of_resource.scope_spans:
                self.spans += of_scope.spans
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")
