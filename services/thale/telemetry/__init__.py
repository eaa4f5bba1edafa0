"""Telemetry: tables of metrics, structured logs, and traces.

Each metric is declared once, in `metrics` (facade) or `controller_metrics` (rollout controller), so that dashboards and
alerts can be tested against the tables. `external_metrics` lists the metrics of other programs that they read.
"""
