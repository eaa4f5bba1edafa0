"""From the first byte of an image to the last of its answer: rate, errors, duration, and where the time goes."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import slo_thresholds
from observability.dashboards.dashboard import ENVIRONMENT, VERSION, PanelRow, build_dashboard
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
        PanelRow("Inside the facade: where a request's time goes", _stage_panels(backend)),
        PanelRow(
            "Inside the model servers: waiting apart from working",
            [*_model_stage_panels(backend), *_model_request_panels(backend)],
        ),
        PanelRow("What comes in", _input_panels()),
    ]
    description = "How requests fare and where their time goes: facade, queues, models, measuring."
    return build_dashboard("thale-request-path", "Request path", description, rows, backend, period="now-3h")


def _traffic_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Requests by route",
            Query(f"sum by (route) (route:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{route}}"),
            unit="reqps",
            description="Requests a second by route template, mean of five minutes.",
            healthy="The usual course of the day. `unknown` is somebody who guesses addresses.",
            stacked=True,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Requests by status",
            Query(f"sum by (status) (route_status:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{status}}"),
            unit="reqps",
            description="Requests a second by HTTP status. 4xx: the image or its sender is at fault; 503: no room or model.",
            healthy="200 by far; no 500, and 503 only in bursts that end by themselves.",
            stacked=True,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Refused, by reason",
            Query(
                f"sum by (code) (code:thale_facade_problems:rate5m{{{ENVIRONMENT}}})",
                "{{code}}",
            ),
            unit="reqps",
            description="Requests refused or failed on purpose, by the stable name of the error (`/problems/NAME`).",
            healthy="Little, and nothing new after a deploy or a rollout.",
            links=backend.log_links(),
        ),
    ]


def _duration_panels(slo: Slo, backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Duration",
            *(
                Query(
                    f"histogram_quantile({quantile}, {_SECONDS})",
                    f"p{quantile * 100:g}",
                )
                for quantile in (0.5, 0.95, 0.99)
            ),
            unit="s",
            description="Time from request to answer of requests with an image, all sizes together.",
            healthy="Smooth, with p99 less than five times p50. Jumps of p99 alone are queues or single large images.",
            width=6,
            exemplars=True,
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "p99 by route",
            Query(f"max by (route) (route:thale_facade_request_duration_seconds:p99_5m{{{ENVIRONMENT}}})", "{{route}}"),
            unit="s",
            description="The slowest hundredth by route template, mean of five minutes.",
            healthy="Routes without an image within milliseconds: they need no model.",
            width=6,
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "p99 by size of the image",
            Query(
                "histogram_quantile(0.99, sum by (le, size) "
                f"(rate(thale_facade_request_duration_seconds_bucket{{{_IMAGES}}}[$__rate_interval])))",
                "{{size}}",
            ),
            unit="s",
            description="The latency that the promise is about, by the class of size that it is given for.",
            healthy=f"Below the promise: {slo_thresholds.describe_latency_slo(slo)}.",
            thresholds=slo_thresholds.latency_thresholds(slo),
            width=6,
            exemplars=True,
            links=backend.slow_trace_links(),
        ),
    ]


def _distribution_panels() -> list[PanelBuilder]:
    return [
        heatmap_panel(
            "Distribution of durations",
            Query(
                f"sum by (le) (increase(thale_facade_request_duration_seconds_bucket{{{_IMAGES}}}[$__rate_interval]))",
                "{{le}}",
            ),
            unit="s",
            description="How many requests took how long. Points are exemplars: each leads to the trace of one request.",
            healthy="One or two bands that stay where they are; a band that climbs is a queue.",
            exemplars=True,
            width=6,
        ),
    ]


def _stage_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Mean time by stage",
            Query(
                f"avg by (stage) (stage:thale_facade_stage_duration_seconds:mean_5m{{{ENVIRONMENT}}})",
                "{{stage}}",
            ),
            unit="s",
            description="Mean time of a request in each stage: body (receiving it), waiting (for a place), models (both at "
            "once), measuring (plants, traits, format).",
            healthy="Models take most of it. Waiting is what more facades cure, models what more model servers cure.",
            stacked=True,
            width=12,
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "p99 by stage",
            Query(
                f"max by (stage) (stage:thale_facade_stage_duration_seconds:p99_5m{{{ENVIRONMENT}}})",
                "{{stage}}",
            ),
            unit="s",
            description="The slowest hundredth of each stage.",
            healthy="Waiting near zero; body follows the network of the slowest sender.",
            width=12,
            links=backend.slow_trace_links(),
        ),
    ]


def _model_stage_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Mean time in a model server, by stage",
            Query(
                f"avg by (stage) (model_version_stage:thale_model_stage_duration_seconds:mean_5m{{{VERSION}}})",
                "{{stage}}",
            ),
            unit="s",
            description="queue: in front of a worker; decode, transform, inference, encode: its work, as it tells it itself.",
            healthy="Queue shorter than inference. If it is longer, workers are too few; if inference grows, they starve.",
            stacked=True,
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "Queue in front of workers, p99",
            Query(
                f'model_version_stage:thale_model_stage_duration_seconds:p99_5m{{{VERSION},stage="queue"}}',
                "{{model}} {{version}}",
            ),
            unit="s",
            description="How long questions wait for a worker: the part of the latency that is no computing.",
            healthy="Below half a second; more is what autoscaling acts on.",
            thresholds=Thresholds(warning=0.5, critical=2),
            links=backend.slow_trace_links(),
        ),
        time_series_panel(
            "Answer of a model, p99",
            Query(
                "histogram_quantile(0.99, sum by (le, model, version) "
                f"(rate(thale_model_request_duration_seconds_bucket{{{VERSION}}}[$__rate_interval])))",
                "{{model}} {{version}}",
            ),
            unit="s",
            description="From question to answer of a model version, queue included.",
            healthy="Versions of a model lie together; a canary above its stable version is held by the judge.",
            exemplars=True,
            links=backend.slow_trace_links(),
        ),
    ]


def _model_request_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Questions by outcome",
            Query(
                f"sum by (outcome) (model_version_outcome:thale_model_requests:rate5m{{{VERSION}}})",
                "{{outcome}}",
            ),
            unit="reqps",
            description="Questions asked of models for users. rejected: the image is at fault; timeout, unavailable, error and "
            "nonsense are the model's.",
            healthy="ok and refused alone.",
            stacked=True,
            width=12,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Asked a second time",
            Query(
                f"sum by (model, version) (rate(thale_model_retries_total{{{VERSION}}}[$__rate_interval]))",
                "{{model}} {{version}}",
            ),
            unit="reqps",
            description="Questions that were repeated because a connection broke.",
            healthy="Zero but for the moments in which a model server goes.",
            width=12,
            links=backend.log_links(),
        ),
    ]


def _input_panels() -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Requests by size of the image",
            Query(f"sum by (size) (route_size:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{size}}"),
            unit="reqps",
            description="Requests a second by class of image size; none: no image, or its header was never read.",
            healthy="The classes that promises are given for. `larger` has none.",
            stacked=True,
            width=6,
        ),
        heatmap_panel(
            "Size of images",
            Query(
                f"sum by (le) (increase(thale_facade_image_megapixels_bucket{{{ENVIRONMENT}}}[$__rate_interval]))",
                "{{le}}",
            ),
            unit="suffix: MP",
            description="How many images had how many megapixels.",
            healthy="The cameras that you know. A new band is a new camera, and another class of latency.",
            width=6,
        ),
        time_series_panel(
            "Pixels received",
            Query(f"environment:thale_facade_image_megapixels:rate5m{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="suffix: MP/s",
            description="Megapixels a second: what the models' work follows, rather than the number of requests.",
            healthy="The day's usual course.",
            width=6,
        ),
        time_series_panel(
            "Bytes received",
            Query(f"environment:thale_facade_body_bytes:rate5m{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="Bps",
            description="Bytes of images, as they come in.",
            healthy="Follows the pixels; more bytes for a pixel are other formats: TIFF instead of JPEG.",
            width=6,
        ),
    ]
