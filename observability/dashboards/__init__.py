"""Grafana dashboards as code: `make generate` writes `generated/`.

`dashboard` builds the frame that all of them share, `panels` builds panels, and `slo_thresholds` derives thresholds
from `services/thale/slo/slo.toml`. Each dashboard has a module of its own.
"""
