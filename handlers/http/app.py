"""The HTTP application: controllers, limits, and the headers of every answer."""

from functools import cache

from litestar import Litestar, Router
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from handlers.http.address_rates import AddressRates
from handlers.http.api.routes import api_router
from handlers.http.backend import Backend, Within
from handlers.http.cors import Cors
from handlers.http.cut_off import CutOff
from handlers.http.emissions import show_totals
from handlers.http.errors import on_exception, on_http_exception
from handlers.http.feed_streams import stream_project, stream_run
from handlers.http.finishing import Finishing
from handlers.http.head import Head
from handlers.http.headers import SecurityHeaders
from handlers.http.health import healthz, readyz
from handlers.http.metrics import metrics
from handlers.http.openapi import openapi_config
from handlers.http.page import Page
from handlers.http.page_files import PageFiles, dashboard_folder
from handlers.http.pipeline_dispatch import dispatch
from handlers.http.pipeline_streams import stream_job, stream_pipeline
from handlers.http.pipelines import (
    abort,
    cancel,
    list_all,
    recover,
    show,
    show_active,
    show_job,
    show_jobs,
    show_recalculation_status,
)
from handlers.http.stale_stats import stale_runs, stale_stats
from handlers.http.webhooks import receive_webhook

_FORM_BYTES = 64 * 1024
"""What a form has beside the file in it."""


def build_http_app(application: Backend) -> ASGIApp:
    """Return the ASGI application that is served beside the sockets.

    Args:
        application: Where requests go; only used while a request is handled.
    """
    settings = application.gateway.settings
    routes = _routes(
        settings.webhook_max_body_bytes, settings.pipelines_max_upload_bytes + _FORM_BYTES
    )
    page = Page(Head(Finishing(Within(routes, application))), PageFiles(dashboard_folder()))
    limited = AddressRates(CutOff(page), application.gateway.rates.addresses)
    return SecurityHeaders(Cors(limited, settings.cors_origins))


@cache
def _routes(most_bytes: int, most_form_bytes: int) -> Litestar:
    # They know no application, and building them takes longer than starting all the rest.
    jobs = Router(
        "/api/pipelines",
        route_handlers=[
            *(list_all, show, show_jobs, show_job, show_active),
            show_recalculation_status,
            *(recover, cancel, abort, dispatch, stream_pipeline, stream_job),
        ],
        request_max_body_size=most_form_bytes,
    )
    health = Router("/api/health", route_handlers=[stale_stats, stale_runs])
    emissions = Router("/api/emissions", route_handlers=[show_totals])
    return Litestar(
        [
            *(receive_webhook, healthz, readyz, metrics),
            *(jobs, emissions, health, api_router(), stream_run, stream_project),
        ],
        exception_handlers={HTTPException: on_http_exception, Exception: on_exception},
        logging_config=None,
        openapi_config=openapi_config(),
        request_max_body_size=most_bytes,
    )
