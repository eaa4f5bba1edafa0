"""Request path dashboard: rate, errors and duration of requests, and the duration of each stage."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import slo_thresholds
from observability.dashboards.caller_panels import caller_panels, upload_panels
from observability.dashboards.dashboard import ENVIRONMENT, VERSION, PanelRow, build_dashboard
from observability.dashboards.experiment_panels import experiment_panels
from observability.dashboards.links import Backend
from observability.dashboards.panels import PanelBuilder, Query, Thresholds, heatmap_panel, time_series_panel
from thale.slo import Slo

_IMAGES = f'{ENVIRONMENT},size!="none"'
_SECONDS = f"sum by (le) (rate(thale_facade_request_duration_seconds_bucket{{{_IMAGES}}}[$__rate_interval]))"


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        PanelRow(
            "Requests: rate, errors, duration",
            [*_traffic_panels(backend), *_duration_panels(slo, backend), *_distribution_panels()],
        ),
        PanelRow("Facade: duration by stage", _stage_panels(backend)),
        PanelRow(
            "Model servers: queueing and processing",
            [*_model_stage_panels(backend), *_model_request_panels(backend)],
        ),
        PanelRow("Callers: credentials, limits, uploads", [*caller_panels(backend), *upload_panels()]),
        PanelRow("Input", _input_panels()),
        PanelRow("Experiments: stored results, jobs, events", experiment_panels(backend)),
    ]
    description = "Rate, errors and duration of requests, by stage: facade, queues, models, post-processing."
    return build_dashboard("thale-request-path", "Request path", description, rows, backend, period="now-3h")


def _traffic_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Requests by route",
            Query(f"sum by (route) (route:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{route}}"),
            unit="reqps",
            description="Requests per second by route template, mean over five minutes.",
            healthy="The usual daily pattern. `unknown` is a client that guesses URLs.",
            stacked=True,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Requests by status",
            Query(f"sum by (status) (route_status:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{status}}"),
            unit="reqps",
            description="Requests per second by HTTP status. 4xx: client error. 503: overloaded, or no model "
            "available.",
            healthy="Mostly 200, no 500, and 503 only in short bursts.",
            stacked=True,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Problems by code",
            Query(
                f"sum by (code) (code:thale_facade_problems:rate5m{{{ENVIRONMENT}}})",
                "{{code}}",
            ),
            unit="reqps",
            description="Responses with a problem, by its code (`/problems/CODE`).",
            healthy="A low rate, and no new code after a deploy or a rollout.",
            links=backend.log_links(),
        ),
    ]


def _duration_panels(slo: Slo, backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Latency",
            *(
                Query(
                    f"histogram_quantile({quantile}, {_SECONDS})",
                    f"p{quantile * 100:g}",
                )
                for quantile in (0.5, 0.95, 0.99)
            ),
            unit="s",
            description="Duration from request to response of requests with an image, all sizes together.",
            healthy="Smooth, with p99 below five times p50. Jumps of p99 alone are queues or single large images.",
            width=6,
            exemplars=True,
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "p99 latency by route",
            Query(f"max by (route) (route:thale_facade_request_duration_seconds:p99_5m{{{ENVIRONMENT}}})", "{{route}}"),
            unit="s",
            description="99th percentile of the duration by route template, over five minutes.",
            healthy="Milliseconds for routes without an image, since they need no model.",
            width=6,
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "p99 latency by image size",
            Query(
                "histogram_quantile(0.99, sum by (le, size) "
                f"(rate(thale_facade_request_duration_seconds_bucket{{{_IMAGES}}}[$__rate_interval])))",
                "{{size}}",
            ),
            unit="s",
            description="99th percentile of the duration by size class, as in the latency objective.",
            healthy=f"Within the objective: {slo_thresholds.describe_latency_slo(slo)}.",
            thresholds=slo_thresholds.latency_thresholds(slo),
            width=6,
            exemplars=True,
            links=backend.slow_trace_links(),
        ),
    ]


def _distribution_panels() -> list[PanelBuilder]:
    return [
        heatmap_panel(
            "Latency distribution",
            Query(
                f"sum by (le) (increase(thale_facade_request_duration_seconds_bucket{{{_IMAGES}}}[$__rate_interval]))",
                "{{le}}",
            ),
            unit="s",
            description="Distribution of request durations. Points are exemplars: each links to the trace of one "
            "request.",
            healthy="One or two stable bands. A rising band is a queue.",
            exemplars=True,
            width=6,
        ),
    ]


def _stage_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Mean duration by stage",
            Query(
                f"avg by (stage) (stage:thale_facade_stage_duration_seconds:mean_5m{{{ENVIRONMENT}}})",
                "{{stage}}",
            ),
            unit="s",
            description="Mean duration of each stage: body (upload), waiting (for a processing slot), models (both in "
            "parallel), postprocess (plants, traits, response format).",
            healthy="Mostly `models`. More facades shorten `waiting`, more model servers shorten `models`.",
            stacked=True,
            width=12,
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "p99 duration by stage",
            Query(
                f"max by (stage) (stage:thale_facade_stage_duration_seconds:p99_5m{{{ENVIRONMENT}}})",
                "{{stage}}",
            ),
            unit="s",
            description="99th percentile of the duration of each stage.",
            healthy="`waiting` near zero. `body` follows the network of the slowest client.",
            width=12,
            links=backend.slow_trace_links(),
        ),
    ]


def _model_stage_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Mean model request duration by stage",
            Query(
                f"avg by (stage) (model_version_stage:thale_model_stage_duration_seconds:mean_5m{{{VERSION}}})",
                "{{stage}}",
            ),
            unit="s",
            description="`queue` is the wait for a worker. decode, transform, inference and encode are timed by the "
            "worker.",
            healthy="`queue` below `inference`. A longer queue needs more workers. A longer inference indicates CPU "
            "contention.",
            stacked=True,
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "Queueing time for workers, p99",
            Query(
                f'model_version_stage:thale_model_stage_duration_seconds:p99_5m{{{VERSION},stage="queue"}}',
                "{{model}} {{version}}",
            ),
            unit="s",
            description="99th percentile of the time in which a model request waits for a worker.",
            healthy="Below 0.5 s. Longer waits need more workers.",
            thresholds=Thresholds(warning=0.5, critical=2),
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "Model latency, p99",
            Query(
                "histogram_quantile(0.99, sum by (le, model, version) "
                f"(rate(thale_model_request_duration_seconds_bucket{{{VERSION}}}[$__rate_interval])))",
                "{{model}} {{version}}",
            ),
            unit="s",
            description="99th percentile of the duration of requests to a model version, queue included.",
            healthy="Similar for all versions of a model. The judge holds a canary that is slower than stable.",
            exemplars=True,
            links=backend.slow_trace_links(),
        ),
    ]


def _model_request_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Model requests by outcome",
            Query(
                f"sum by (outcome) (model_version_outcome:thale_model_requests:rate5m{{{VERSION}}})",
                "{{outcome}}",
            ),
            unit="reqps",
            description="Model requests for clients, by outcome. `rejected`: invalid image. `timeout`, `unavailable`, "
            "`error` and `invalid_response`: failures of the model.",
            healthy="Only `ok` and `rejected`.",
            stacked=True,
            width=12,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Retries",
            Query(
                f"sum by (model, version) (rate(thale_model_retries_total{{{VERSION}}}[$__rate_interval]))",
                "{{model}} {{version}}",
            ),
            unit="reqps",
            description="Model requests that were retried because no worker was available or a connection broke.",
            healthy="Zero, except while a model server restarts.",
            width=12,
            links=backend.log_links(),
        ),
    ]


def _input_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Requests by image size",
            Query(f"sum by (size) (route_size:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{size}}"),
            unit="reqps",
            description="Requests per second by size class. `none`: no image, or its header was not read.",
            healthy="Size classes with an objective. `larger` has none.",
            stacked=True,
            width=6,
        ),
        heatmap_panel(
            "Image size distribution",
            Query(
                f"sum by (le) (increase(thale_facade_image_megapixels_bucket{{{ENVIRONMENT}}}[$__rate_interval]))",
                "{{le}}",
            ),
            unit="suffix: MP",
            description="Distribution of the image size in megapixels.",
            healthy="Bands of known cameras. A new band is a new camera, and may be another size class.",
            width=6,
        ),
        time_series_panel(
            "Megapixels received",
            Query(f"environment:thale_facade_image_megapixels:rate5m{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="suffix: MP/s",
            description="Megapixels received per second. They determine the models' load better than the request rate.",
            healthy="The usual daily pattern.",
            width=6,
        ),
        time_series_panel(
            "Bytes received",
            Query(f"environment:thale_facade_body_bytes:rate5m{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="Bps",
            description="Bytes read from request bodies per second.",
            healthy="Follows the megapixels. More bytes per pixel indicate another format, such as TIFF.",
            width=6,
        ),
    ]
