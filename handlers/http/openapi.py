"""The OpenAPI 3.1 document at ``/schema``, with examples."""

from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin


def openapi_config() -> OpenAPIConfig:
    """Return how the API is described: ``/schema`` and ``/schema/openapi.json``."""
    return OpenAPIConfig(
        title="channel_server",
        version="1",
        path="/schema",
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        use_handler_docstrings=True,
    )
