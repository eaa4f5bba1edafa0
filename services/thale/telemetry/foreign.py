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


FOREIGN: tuple[Foreign, ...] = (
    Foreign("up", (), "Prometheus", "1 where the last scrape of a target succeeded."),
    Foreign("process_start_time_seconds", (), "facade, watcher", "When the process started, seconds since 1970."),
    Foreign("process_cpu_seconds_total", (), "facade", "Processor time of the facade's own process."),
    Foreign("process_resident_memory_bytes", (), "facade", "Memory of the facade's own process."),
    Foreign("process_open_fds", (), "facade", "Open files and connections of the facade."),
    Foreign("process_max_fds", (), "facade", "Most files and connections that the facade may open."),
)
