"""Metrics of others that thale's rules and dashboards read, so that those can be held against a table as well."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Foreign:
    """A metric that another program exports."""

    name: str
    """As on the wire, with `_total` or `_bucket`."""
    labels: tuple[str, ...]
    """Those that are read."""
    exporter: str
    words: str


_TORCHSERVE = (
    Foreign(
        "ts_inference_requests_total",
        ("model_name", "model_version"),
        "TorchServe",
        "Questions that a worker was given, whatever came of them.",
    ),
    Foreign(
        "ts_queue_latency_microseconds",
        ("model_name", "model_version"),
        "TorchServe",
        "Time that questions waited for a worker, summed up: a counter without `_total`.",
    ),
    Foreign(
        "ts_inference_latency_microseconds",
        ("model_name", "model_version"),
        "TorchServe",
        "Time from question to answer, queue included, summed up: a counter without `_total`.",
    ),
    Foreign("Requests2XX", (), "TorchServe", "Answers of all its interfaces, probes and management included."),
    Foreign("Requests4XX", (), "TorchServe", "Answers that blame the question, 422 for bad images among them."),
    Foreign("Requests5XX", (), "TorchServe", "Answers that blame the server or the worker."),
    Foreign("QueueTime", (), "TorchServe", "Milliseconds that the last question waited for a worker, of any model."),
    Foreign("WorkerThreadTime", (), "TorchServe", "Milliseconds of the last question beside the worker's own work."),
    Foreign(
        "WorkerLoadTime", ("WorkerName",), "TorchServe", "Milliseconds of a worker's last start: new with each start."
    ),
    Foreign(
        "PredictionTime", ("ModelName",), "TorchServe", "Milliseconds of the last batch; of all versions of a model."
    ),
)
"""What TorchServe 0.12 was seen to tell with `metrics_mode=prometheus` and `disable_system_metrics=true`.

Its latencies are running sums without quantiles, and the length of its queue is not told: `thale_model_stage_seconds`
with stage="queue" tells how long questions wait, by version and with quantiles.
"""

FOREIGN: tuple[Foreign, ...] = (
    Foreign("up", (), "Prometheus", "1 where the last scrape of a target succeeded."),
    Foreign("process_start_time_seconds", (), "facade, watcher", "When the process started, seconds since 1970."),
    Foreign("process_cpu_seconds_total", (), "facade", "Processor time of the facade's own process."),
    Foreign("process_resident_memory_bytes", (), "facade", "Memory of the facade's own process."),
    Foreign("process_open_fds", (), "facade", "Open files and connections of the facade."),
    Foreign("process_max_fds", (), "facade", "Most files and connections that the facade may open."),
    *_TORCHSERVE,
)
