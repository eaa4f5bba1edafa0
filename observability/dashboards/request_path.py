"""From the first byte of an image to the last of its answer: rate, errors, duration, and where the time goes."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from observability.dashboards import slo_thresholds
from observability.dashboards.dashboard import ENVIRONMENT, VERSION, Row, board
from observability.dashboards.links import Backend
from observability.dashboards.panels import Drawn, Limits, Query, density, lines
from thale.slo import Slo

_IMAGES = f'{ENVIRONMENT},size!="none"'
_SECONDS = f"sum by (le) (rate(thale_facade_request_seconds_bucket{{{_IMAGES}}}[$__rate_interval]))"


def build(slo: Slo, backend: Backend) -> Dashboard:
    """Return the dashboard."""
    rows = [
        Row(
            "Requests: rate, errors, duration",
            [*_rate_and_errors(backend), *_durations(slo, backend), *_distribution()],
        ),
        Row("Inside the facade: where a request's time goes", _stages(backend)),
        Row("Inside the model servers: waiting apart from working", [*_times(backend), *_questions(backend)]),
        Row("What comes in", _input()),
    ]
    purpose = "How requests fare and where their time goes: facade, queues, models, measuring."
    return board("thale-request-path", "Request path", purpose, rows, backend, period="now-3h")


def _rate_and_errors(backend: Backend) -> list[Drawn]:
    return [
        lines(
            "Requests by route",
            Query(f"sum by (route) (route:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{route}}"),
            unit="reqps",
            shows="Requests a second by route template, mean of five minutes.",
            good="The usual course of the day. `unknown` is somebody who guesses addresses.",
            stacked=True,
            links=backend.to_logs(),
        ),
        lines(
            "Requests by status",
            Query(f"sum by (status) (route_status:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{status}}"),
            unit="reqps",
            shows="Requests a second by HTTP status. 4xx: the image or its sender is at fault; 503: no room or model.",
            good="200 by far; no 500, and 503 only in bursts that end by themselves.",
            stacked=True,
            links=backend.to_logs(),
        ),
        lines(
            "Refused, by reason",
            Query(
                f"sum by (code) (code:thale_facade_refused:rate5m{{{ENVIRONMENT}}})",
                "{{code}}",
            ),
            unit="reqps",
            shows="Requests refused or failed on purpose, by the stable name of the error (`/problems/NAME`).",
            good="Little, and nothing new after a deploy or a rollout.",
            links=backend.to_logs(),
        ),
    ]


def _durations(slo: Slo, backend: Backend) -> list[Drawn]:
    return [
        lines(
            "Duration",
            *(
                Query(
                    f"histogram_quantile({quantile}, {_SECONDS})",
                    f"p{quantile * 100:g}",
                )
                for quantile in (0.5, 0.95, 0.99)
            ),
            unit="s",
            shows="Time from request to answer of requests with an image, all sizes together.",
            good="Smooth, with p99 less than five times p50. Jumps of p99 alone are queues or single large images.",
            width=6,
            exemplars=True,
            links=backend.slower_traces(),
        ),
        lines(
            "p99 by route",
            Query(f"max by (route) (route:thale_facade_request_seconds:p99_5m{{{ENVIRONMENT}}})", "{{route}}"),
            unit="s",
            shows="The slowest hundredth by route template, mean of five minutes.",
            good="Routes without an image within milliseconds: they need no model.",
            width=6,
            links=backend.slower_traces(),
        ),
        lines(
            "p99 by size of the image",
            Query(
                "histogram_quantile(0.99, sum by (le, size) "
                f"(rate(thale_facade_request_seconds_bucket{{{_IMAGES}}}[$__rate_interval])))",
                "{{size}}",
            ),
            unit="s",
            shows="The latency that the promise is about, by the class of size that it is given for.",
            good=f"Below the promise: {slo_thresholds.promised(slo)}.",
            limits=slo_thresholds.seconds(slo),
            width=6,
            exemplars=True,
            links=backend.slower_traces(),
        ),
    ]


def _distribution() -> list[Drawn]:
    return [
        density(
            "Distribution of durations",
            Query(
                f"sum by (le) (increase(thale_facade_request_seconds_bucket{{{_IMAGES}}}[$__rate_interval]))",
                "{{le}}",
            ),
            unit="s",
            shows="How many requests took how long. Points are exemplars: each leads to the trace of one request.",
            good="One or two bands that stay where they are; a band that climbs is a queue.",
            exemplars=True,
            width=6,
        ),
    ]


def _stages(backend: Backend) -> list[Drawn]:
    return [
        lines(
            "Mean time by stage",
            Query(
                f"avg by (stage) (stage:thale_facade_stage_seconds:mean_5m{{{ENVIRONMENT}}})",
                "{{stage}}",
            ),
            unit="s",
            shows="Mean time of a request in each stage: body (receiving it), waiting (for a place), models (both at "
            "once), measuring (plants, traits, format).",
            good="Models take most of it. Waiting is what more facades cure, models what more model servers cure.",
            stacked=True,
            width=12,
            links=backend.slower_traces(),
        ),
        lines(
            "p99 by stage",
            Query(
                f"max by (stage) (stage:thale_facade_stage_seconds:p99_5m{{{ENVIRONMENT}}})",
                "{{stage}}",
            ),
            unit="s",
            shows="The slowest hundredth of each stage.",
            good="Waiting near zero; body follows the network of the slowest sender.",
            width=12,
            links=backend.slower_traces(),
        ),
    ]


def _times(backend: Backend) -> list[Drawn]:
    return [
        lines(
            "Mean time in a model server, by stage",
            Query(
                f"avg by (stage) (model_version_stage:thale_model_stage_seconds:mean_5m{{{VERSION}}})",
                "{{stage}}",
            ),
            unit="s",
            shows="queue: in front of a worker; decode, transform, inference, encode: its work, as it tells it itself.",
            good="Queue shorter than inference. If it is longer, workers are too few; if inference grows, they starve.",
            stacked=True,
            links=backend.slower_traces(),
        ),
        lines(
            "Queue in front of workers, p99",
            Query(
                f'model_version_stage:thale_model_stage_seconds:p99_5m{{{VERSION},stage="queue"}}',
                "{{model}} {{version}}",
            ),
            unit="s",
            shows="How long questions wait for a worker: the part of the latency that is no computing.",
            good="Below half a second; more is what autoscaling acts on.",
            limits=Limits(look=0.5, bad=2),
            links=backend.slower_traces(),
        ),
        lines(
            "Answer of a model, p99",
            Query(
                "histogram_quantile(0.99, sum by (le, model, version) "
                f"(rate(thale_model_seconds_bucket{{{VERSION}}}[$__rate_interval])))",
                "{{model}} {{version}}",
            ),
            unit="s",
            shows="From question to answer of a model version, queue included.",
            good="Versions of a model lie together; a canary above its stable version is held by the judge.",
            exemplars=True,
            links=backend.slower_traces(),
        ),
    ]


def _questions(backend: Backend) -> list[Drawn]:
    return [
        lines(
            "Questions by outcome",
            Query(
                f"sum by (outcome) (model_version_outcome:thale_model_requests:rate5m{{{VERSION}}})",
                "{{outcome}}",
            ),
            unit="reqps",
            shows="Questions asked of models for users. refused: the image is at fault; late, unavailable, failed and "
            "nonsense are the model's.",
            good="ok and refused alone.",
            stacked=True,
            width=12,
            links=backend.to_logs(),
        ),
        lines(
            "Asked a second time",
            Query(
                f"sum by (model, version) (rate(thale_model_retries_total{{{VERSION}}}[$__rate_interval]))",
                "{{model}} {{version}}",
            ),
            unit="reqps",
            shows="Questions that were repeated because a connection broke.",
            good="Zero but for the moments in which a model server goes.",
            width=12,
            links=backend.to_logs(),
        ),
    ]


def _input() -> list[Drawn]:
    return [
        lines(
            "Requests by size of the image",
            Query(f"sum by (size) (route_size:thale_facade_requests:rate5m{{{ENVIRONMENT}}})", "{{size}}"),
            unit="reqps",
            shows="Requests a second by class of image size; none: no image, or its header was never read.",
            good="The classes that promises are given for. `larger` has none.",
            stacked=True,
            width=6,
        ),
        density(
            "Size of images",
            Query(
                f"sum by (le) (increase(thale_facade_image_megapixels_bucket{{{ENVIRONMENT}}}[$__rate_interval]))",
                "{{le}}",
            ),
            unit="suffix: MP",
            shows="How many images had how many megapixels.",
            good="The cameras that you know. A new band is a new camera, and another class of latency.",
            width=6,
        ),
        lines(
            "Pixels received",
            Query(f"environment:thale_facade_image_megapixels:rate5m{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="suffix: MP/s",
            shows="Megapixels a second: what the models' work follows, rather than the number of requests.",
            good="The day's usual course.",
            width=6,
        ),
        lines(
            "Bytes received",
            Query(f"environment:thale_facade_body_bytes:rate5m{{{ENVIRONMENT}}}", "{{environment}}"),
            unit="Bps",
            shows="Bytes of images, as they come in.",
            good="Follows the pixels; more bytes for a pixel are other formats: TIFF instead of JPEG.",
            width=6,
        ),
    ]
