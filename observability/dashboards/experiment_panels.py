"""Panels of the request path dashboard for experiments: stored results, jobs and events."""

from observability.dashboards.dashboard import ENVIRONMENT
from observability.dashboards.links import Backend
from observability.dashboards.panels import PanelBuilder, Query, Thresholds, time_series_panel


def experiment_panels(backend: Backend) -> list[PanelBuilder]:
    """Return the panels of experiments. They are empty without an experiment store."""
    return [*_image_panels(backend), *_event_panels(backend)]


def _image_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Images of experiments",
            Query(
                "sum by (outcome) "
                f"(rate(thale_facade_prediction_cache_requests_total{{{ENVIRONMENT}}}[$__rate_interval]))",
                "{{outcome}}",
            ),
            unit="suffix: images/s",
            description="Images of experiments by whether the store had their measurement. A `hit` costs no inference.",
            healthy="Follows the clients' load. Many misses of images that were measured before follow a new version.",
            stacked=True,
            width=6,
        ),
        time_series_panel(
            "Images of jobs by outcome",
            Query(
                f"sum by (outcome) (rate(thale_facade_job_images_total{{{ENVIRONMENT}}}[$__rate_interval]))",
                "{{outcome}}",
            ),
            unit="suffix: images/s",
            description="Attempts to measure images of jobs. After three failed ones, an image is quarantined with its "
            "reason.",
            healthy="Nearly all `measured`. Failures of one job come from its images, those of all jobs from the "
            "models.",
            stacked=True,
            width=6,
            links=backend.log_links(),
        ),
    ]


def _event_panels(backend: Backend) -> list[PanelBuilder]:
    return [
        time_series_panel(
            "Events sent to the webhook",
            Query(
                f"sum by (outcome) (rate(thale_facade_webhook_events_total{{{ENVIRONMENT}}}[$__rate_interval]))",
                "{{outcome}}",
            ),
            unit="suffix: events/s",
            description="Attempts to send events of jobs to the operator's webhook. A failed event is sent again for "
            "three days.",
            healthy="Only `delivered`.",
            stacked=True,
            width=6,
            links=backend.log_links(),
        ),
        time_series_panel(
            "Events that wait for the webhook",
            Query(f"max by (environment) (thale_facade_webhook_events_waiting{{{ENVIRONMENT}}})", "{{environment}}"),
            unit="suffix: events",
            description="Events that the webhook has not accepted yet. They are in the store, so that a restart loses "
            "none.",
            healthy="Zero, or a few for seconds. A rising line is a receiver that does not respond.",
            thresholds=Thresholds(warning=100),
            width=6,
        ),
    ]
