"""Telemetry: tables of metrics, structured logs, and traces.

Each metric is declared once, in `metrics` (facade) or `controller_metrics` (rollout controller). Tests compare
dashboards and alerts with these tables. `external_metrics` lists the metrics of other programs that they read.
"""
