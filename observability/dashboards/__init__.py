"""Grafana dashboards as code: `make dashboards` writes `generated/`.

`board` is what all of them share, `panels` what they are made of, `promises` the limits from `services/thale/slo.toml`; a
module a dashboard says the rest.
"""
