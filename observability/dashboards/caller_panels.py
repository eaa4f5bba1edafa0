"""Panels of the request path dashboard for callers: credentials, limits, uploads and connections."""

from observability.dashboards.dashboard import ENVIRONMENT
from observability.dashboards.links import Backend
from observability.dashboards.panels import PanelBuilder, Query, Thresholds, time_series_panel


def caller_panels(backend: Backend) -> list[PanelBuilder]:
    """Return the panels of credentials and limits."""
    return [*_authentication_panels(backend), *_limit_panels(backend)]


def _authentication_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Authentications by result",
            Query(
                "sum by (method, outcome) "
                f"(rate(thale_facade_authentications_total{{{ENVIRONMENT}}}[$__rate_interval]))",
                "{{method}} {{outcome}}",
            ),
            unit="reqps",
            description="Requests to routes that require a scope, by kind of credential and result. `missing`: no "
            "credential. `unavailable`: the credentials could not be verified.",
            healthy="Mostly `ok`. `expired` and `revoked` are callers that need a new key. No `unavailable`.",
            stacked=True,
            width=6,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Age of credentials",
            Query(
                "time() - min by (environment, source) "
                f"(thale_facade_credentials_read_timestamp_seconds{{{ENVIRONMENT}}})",
                "{{environment}} {{source}}",
            ),
            unit="s",
            description="Time since the oldest last read of a source of credentials, over all facades. The last known "
            "values are used while a source is unavailable.",
            healthy="Seconds for a file, up to an hour for a vault. After a day, requests get 503.",
            thresholds=Thresholds(warning=7200, critical=43200),
            width=6,
        ),
    ]


def _limit_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Limited requests",
            Query(
                f"sum by (limit) (rate(thale_facade_limited_total{{{ENVIRONMENT}}}[$__rate_interval]))",
                "{{limit}}",
            ),
            unit="reqps",
            description="Requests that got 429, by the limit of the caller.",
            healthy="Zero, or short bursts of `rate`. A daily limit stops a caller until midnight UTC.",
            stacked=True,
            width=6,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Limit store calls",
            Query(
                f"sum by (outcome) (rate(thale_facade_limit_store_calls_total{{{ENVIRONMENT}}}[$__rate_interval]))",
                "{{outcome}}",
            ),
            unit="suffix: calls/s",
            description="Calls of the shared limit store. After an `error`, and if `skipped`, each facade limits "
            "callers on its own.",
            healthy="Only `ok`. A facade counts several requests in advance, so calls are fewer than requests.",
            stacked=True,
            width=6,
        ),
    ]


def upload_panels() -> list[PanelBuilder]:
    """Return the panels of uploads and connections."""
    return [*_upload_limit_panels(), *_connection_panels()]


def _upload_limit_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Uploads in progress",
            Query(f"max by (environment) (thale_facade_uploads{{{ENVIRONMENT}}})", "{{environment}}"),
            Query(
                f'min by (environment) (thale_facade_upload_limit{{{ENVIRONMENT},kind="uploads"}})',
                "limit {{environment}}",
            ),
            unit="suffix: requests",
            description="Request bodies that arrive at the busiest facade, and the limit of one facade.",
            healthy="Far below the limit. Many uploads with few bytes per second are slow clients.",
            width=6,
        ),
        time_series_panel(
            "Memory of request bodies",
            Query(f"max by (environment) (thale_facade_buffered_bytes{{{ENVIRONMENT}}})", "{{environment}}"),
            Query(
                f'min by (environment) (thale_facade_upload_limit{{{ENVIRONMENT},kind="bytes"}})',
                "limit {{environment}}",
            ),
            unit="decbytes",
            description="Memory that the busiest facade has reserved for request bodies, and the limit of one facade.",
            healthy="Below 80 % of the limit.",
            width=6,
        ),
        time_series_panel(
            "Slow uploads ended",
            Query(
                f"sum by (environment) (rate(thale_facade_uploads_ended_total{{{ENVIRONMENT}}}[$__rate_interval]))",
                "{{environment}}",
            ),
            unit="reqps",
            description="Slow uploads that a facade ended for a new one at its limit.",
            healthy="Zero.",
            width=6,
        ),
    ]


def _connection_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Rejected connections",
            Query(
                f"sum by (status) (rate(thale_facade_rejected_connections_total{{{ENVIRONMENT}}}[$__rate_interval]))",
                "{{status}}",
            ),
            unit="suffix: connections/s",
            description="Connections that a facade closed before a request reached it, by status. 408: slow headers. "
            "503: too many connections.",
            healthy="Zero. Behind a gateway, the gateway closes slow clients first.",
            stacked=True,
            width=6,
        ),
    ]
