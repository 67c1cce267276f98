"""The HTTP application: the REST face, its OpenAPI document, health and metrics.

    /v1/… ─▶ rest_face · /openapi.json · /health, /health/live, /health/ready · /metrics

Health and metrics are open to whoever reaches the port: they tell no name of a topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penstock.control.server import openapi, rest_face
from penstock.control.server.access import Access
from penstock.control.server.endpoints import Endpoint
from penstock.control.server.metrics import Metrics

__all__ = ["make_app"]


def make_app(
    endpoints: Sequence[Endpoint], access: Access, *, metrics: Metrics, ready: Callable[[], str]
) -> Starlette:
    """Return the application.

    Args:
        endpoints: with their handlers.
        access: who may call them.
        metrics: rendered at each scrape.
        ready: returns why the server is not ready, or an empty text; may block.
    """
    description = openapi.document(endpoints, version=version("penstock"))

    async def openapi_document(_request: Request) -> Response:
        return JSONResponse(description)

    async def live(_request: Request) -> Response:
        return JSONResponse({"live": True})

    async def health(_request: Request) -> Response:
        reason = await asyncio.to_thread(ready)
        return JSONResponse(
            {"live": True, "ready": not reason, "reason": reason},
            status_code=503 if reason else 200,
        )

    async def scrape(_request: Request) -> Response:
        text = await asyncio.to_thread(metrics.render)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/openapi.json", openapi_document),
            Route("/health", health),
            Route("/health/ready", health),
            Route("/health/live", live),
            Route("/metrics", scrape),
            *rest_face.routes(endpoints, access),
        ]
    )
